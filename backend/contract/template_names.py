"""The names that the argument `template` takes; what they write is in backend/data/named.py."""

import difflib
from collections.abc import Mapping

from backend.contract.field import Value
from backend.contract.problems import Problem

AUTO = "auto"  # the model's own template
NAMES = (
    "default",
    "empty",
    "alpaca",
    "baichuan2",
    "chatglm3",
    "chatml",
    "deepseek",
    "deepseek3",
    "gemma",
    "glm4",
    "internlm2",
    "llama2",
    "llama3",
    "mistral",
    "openchat",
    "phi3",
    "phi4",
    "qwen",
    "smollm2",
    "vicuna",
    "zephyr",
)

# What a list offers; the others are typed.
OFFERED = (
    AUTO,
    "default",
    "alpaca",
    "chatglm3",
    "chatml",
    "deepseek",
    "gemma",
    "glm4",
    "llama2",
    "llama3",
    "mistral",
    "phi3",
    "qwen",
    "smollm2",
    "vicuna",
    "zephyr",
)

# Other names, as tutorials use them.
ALIASES = {
    "qwen2": "qwen",
    "qwen2.5": "qwen",
    "qwen2_5": "qwen",
    "qwen3": "chatml",
    "qwen3_nothink": "chatml",
    "yi": "chatml",
    "hermes": "chatml",
    "orca": "chatml",
    "smollm": "smollm2",
    "smollm3": "chatml",
    "baichuan": "baichuan2",
    "intern2": "internlm2",
    "internlm": "internlm2",
    "llama3.1": "llama3",
    "llama3.2": "llama3",
    "llama3.3": "llama3",
    "llama-2": "llama2",
    "llama-3": "llama3",
    "mixtral": "mistral",
    "ministral": "mistral",
    "gemma2": "gemma",
    "gemma3": "gemma",
    "phi": "phi3",
    "phi3.5": "phi3",
    "phi_small": "phi3",
    "deepseekcoder": "deepseek",
    "deepseek2": "deepseek",
    "deepseekr1": "deepseek3",
    "deepseek_r1": "deepseek3",
    "chatglm": "chatglm3",
    "glm": "glm4",
    "glm-4": "glm4",
    "tinyllama": "zephyr",
}


def chosen(values: Mapping[str, Value]) -> str:
    """The name that the values mean."""
    return str(values.get("template") or AUTO).strip().lower()


def check(values: Mapping[str, Value]) -> list[Problem]:
    """A template name that is not known, with a near one if there is any."""
    name = chosen(values)
    known = sorted({AUTO, *NAMES, *ALIASES})
    if name in known:
        return []
    near = difflib.get_close_matches(name, known, 1, 0.5)
    if near:
        params = {"value": name[:80], "near": near[0]}
        return [Problem(code="template_unknown_near", field="template", params=params)]
    params = {"value": name[:80], "choices": ", ".join([AUTO, *sorted(NAMES)])}
    return [Problem(code="template_unknown", field="template", params=params)]
