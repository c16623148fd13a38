"""The names that the argument `template` takes, and the one that a result was trained with.

The templates are in data/builtin_templates.py. A result keeps the chat template of its base for
other programs; Tuneboard renders prompts with the template of the training, whose name stands in a
small file beside the result and is read when the result is used.
"""

import json
import re
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names
from backend.contract.system.files import read_json
from backend.contract.texts.problems import Problem

AUTO = "auto"  # the model's own template
NAMES = (
    *("alpaca", "bailing", "baichuan", "baichuan2", "chatglm3", "chatml", "chatml_de", "cohere"),
    *("deepseek", "deepseek3", "deepseekcoder", "deepseekr1", "default", "empty", "exaone"),
    *("fewshot", "gemma", "glm4", "granite3", "granite4", "hermes", "internlm2", "llama2"),
    *("llama2_zh", "llama3", "llama3.1", "llama3.2", "ministral", "mistral", "mistral_small"),
    *("mixtral", "openchat", "openchat-3.6", "opencoder", "phi3", "phi4", "phi4_mini"),
    *("phi_small", "qwen", "qwen2", "qwen3", "qwen3_5", "qwen3_5_nothink", "qwen3_6"),
    *("qwen3_nothink", "smollm2", "solar", "vicuna", "yi", "zephyr"),
)

# The names that a list offers; the others can be typed.
OFFERED = (
    *(AUTO, "default", "alpaca", "chatml", "deepseek3", "deepseekr1", "gemma", "glm4"),
    *("granite4", "hermes", "llama2", "llama3", "llama3.1", "mistral", "ministral", "phi3"),
    *("phi4", "qwen", "qwen3", "qwen3_nothink", "qwen3_5", "smollm2", "vicuna", "zephyr"),
)

# Other names for the same format, as tutorials use them.
ALIASES = {
    "deepseek2": "deepseek",
    "deepseek_r1": "deepseekr1",
    "gemma2": "gemma",
    "gemma3": "gemma",
    "gemma3n": "gemma",
    "glm": "glm4",
    "glm-4": "glm4",
    "intern2": "internlm2",
    "llama-2": "llama2",
    "llama-3": "llama3",
    "llama3.3": "llama3.1",
    "orca": "chatml",
    "phi": "phi3",
    "phi3.5": "phi3",
    "qwen2.5": "qwen",
    "qwen2_5": "qwen",
    "smollm": "chatml",
    "tinyllama": "zephyr",
}

# Names in LLaMA-Factory and tutorials of models that bring their own template. Most of these models
# read pictures or sound, or need a template that only their own file has.
BRINGS_ITS_OWN = frozenset(
    (
        *("aeva", "bailing_v2", "breeze", "chatglm", "chatglm2", "cpm4", "dbrx", "dots_ocr"),
        *("ernie", "ernie_nothink", "ernie_vl", "falcon", "falcon_h1", "gemma4", "gemma4n"),
        *("glm4_5v", "glm4_7", "glm4_moe", "glm4v", "glm_ocr", "glmz1", "gpt_oss"),
        *("granite3_vision", "hunyuan", "hunyuan_small", "hy3", "hy_dense_1_8b", "hy_dense_7b"),
        *("index", "intern_s1", "intern_vl", "internlm", "keye_vl", "kimi_vl", "lfm2", "lfm2_vl"),
        *("llama4", "llava", "llava_next", "llava_next_llama3", "llava_next_mistral"),
        *("llava_next_qwen", "llava_next_video", "llava_next_video_mistral"),
        *("llava_next_video_yi", "llava_next_yi", "mimo", "mimo_v2", "mimo_vl", "minicpm_o"),
        *("minicpm_v", "minicpm_v_4_6", "minimax1", "minimax2", "ministral3", "mllama"),
        *("moonlight", "moss_vl", "olmo", "paligemma", "paligemma_chat", "pixtral"),
        *("qwen2_audio", "qwen2_omni", "qwen2_vl", "qwen3_omni", "qwen3_omni_nothink", "qwen3_vl"),
        *("qwen3_vl_nothink", "sailor", "seed_coder", "seed_oss", "smollm3", "starchat"),
        *("telechat2", "video_llava", "xuanyuan", "yi_vl", "youtu", "youtu_vl", "yuan"),
    )
)


def template_of(values: Arguments) -> str:
    """The name of the template that the values mean."""
    return _plain(values.template)


def check(template: str) -> list[Problem]:
    """The problem of a template name that is not known, with the name to use instead."""
    name = _plain(template)
    known = (AUTO, *NAMES, *ALIASES)
    if name in known:
        return []
    near = next((each for each in known if _bare(each) == _bare(name)), None)
    if near is not None:
        params = {"value": name[:80], "near": near}
        return [Problem(code="template_unknown_near", field="template", params=params)]
    own = any(_bare(each) == _bare(name) for each in BRINGS_ITS_OWN)
    code = "template_brings_own" if own else "template_unknown"
    return [Problem(code=code, field="template", params={"value": name[:80]})]


def _plain(template: str) -> str:
    return template.strip().lower() or AUTO


def _bare(name: str) -> str:
    """A name without punctuation, which people leave out or add. Names that differ in more are not
    suggested: they may mean the opposite, as qwen3_nothink and qwen3_think do."""
    return re.sub(r"[-_.\s]", "", name)


NAME = "tuneboard.json"


def write(folder: Path, template: str) -> None:
    """Write the template beside a result; "auto" (the model's own) needs no file."""
    if template == AUTO:
        (folder / NAME).unlink(missing_ok=True)
    else:
        (folder / NAME).write_text(json.dumps({"template": template}) + "\n")


def read(values: Arguments) -> tuple[str, str]:
    """The template that the last adapter, else the model, was trained with, and the folder of this.

    "auto" and "" where there is no file, or the template in it is not known.
    """
    last = [values.model_name_or_path or "", *names(values.adapter_name_or_path)]
    folder = local(last[-1])
    template = read_json(folder / NAME).get("template") if last[-1] else None
    known = isinstance(template, str) and not check(template)
    return (str(template), str(folder)) if known else (AUTO, "")
