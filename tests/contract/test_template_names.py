"""The template names that page and command know are those that the worker can write."""

import re

from backend.contract.models import template_names
from backend.contract.models.template_names import ALIASES, AUTO, BRINGS_ITS_OWN, NAMES, OFFERED
from backend.data import builtin_templates

# register_template(name=...) in LLaMA-Factory's src/llamafactory/data/template.py at ff6d4d1.
IN_LLAMA_FACTORY = """
aeva alpaca bailing bailing_v2 breeze chatglm3 chatml chatml_de cohere cpm4 dbrx deepseek
deepseek3 deepseekcoder deepseekr1 default dots_ocr empty ernie ernie_nothink ernie_vl exaone
falcon falcon_h1 fewshot gemma gemma2 gemma3 gemma3n gemma4 gemma4n glm4 glm4_5v glm4_7 glm4_moe
glm4v glm_ocr glmz1 gpt_oss granite3 granite3_vision granite4 hunyuan hunyuan_small hy3
hy_dense_1_8b hy_dense_7b index intern2 intern_s1 intern_vl keye_vl kimi_vl lfm2 lfm2_vl llama2
llama2_zh llama3 llama4 llava llava_next llava_next_llama3 llava_next_mistral llava_next_qwen
llava_next_video llava_next_video_mistral llava_next_video_yi llava_next_yi mimo mimo_v2 mimo_vl
minicpm_o minicpm_v minicpm_v_4_6 minimax1 minimax2 ministral ministral3 mistral mistral_small
mllama moonlight moss_vl olmo openchat openchat-3.6 opencoder paligemma paligemma_chat phi phi4
phi4_mini phi_small pixtral qwen qwen2_audio qwen2_omni qwen2_vl qwen3 qwen3_5 qwen3_5_nothink
qwen3_6 qwen3_nothink qwen3_omni qwen3_omni_nothink qwen3_vl qwen3_vl_nothink sailor seed_coder
seed_oss smollm smollm2 solar starchat telechat2 vicuna video_llava xuanyuan yi yi_vl youtu
youtu_vl yuan zephyr
"""
# Names that tutorials used for the format of another model, or that have one of their own.
ONCE_WRONG = {
    "deepseekcoder": "deepseekcoder",
    "ministral": "ministral",
    "baichuan": "baichuan",
    "phi_small": "phi_small",
    "smollm": "chatml",
    "internlm": None,
    "chatglm": None,
    "smollm3": None,
}


def test_the_names_are_the_templates() -> None:
    assert len(NAMES) == len(set(NAMES)) > 40
    assert set(NAMES) == set(builtin_templates.BUILTIN)
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & {*NAMES, AUTO}
    assert set(OFFERED) <= {AUTO, *NAMES}
    assert not BRINGS_ITS_OWN & {AUTO, *NAMES, *ALIASES}


def test_a_known_name_is_no_problem() -> None:
    names = ["", "auto", " ChatML ", *NAMES, *ALIASES]
    assert {name: template_names.check(name) for name in names} == {name: [] for name in names}
    assert len(names) > 70


def test_every_name_of_llama_factory_is_written_or_answered_with_auto() -> None:
    names = IN_LLAMA_FACTORY.split()
    assert len(names) == len(set(names)) == 124
    written = 0
    for name in names:
        problems = template_names.check(name.upper())
        if not problems:
            written += 1
            continue
        (problem,) = problems
        assert problem.code == "template_brings_own"
        assert name in problem.text()
        assert "auto" in problem.text()
    assert written > 45


def test_no_name_means_another_model_s_format() -> None:
    for name, meant in ONCE_WRONG.items():
        problems = template_names.check(name)
        if meant is None:
            assert [one.code for one in problems] == ["template_brings_own"]
        else:
            assert builtin_templates.pieces(name) == builtin_templates.BUILTIN[meant]


# Written otherwise -> the name that is meant. Nothing but case and the marks between differs.
MEANT = {
    **{"qwen3nothink": "qwen3_nothink", "Qwen3-NoThink": "qwen3_nothink", "qwen3.5": "qwen3_5"},
    **{"qwen-3": "qwen3", "QWEN 3": "qwen3", "qwen25": "qwen2.5", "llama31": "llama3.1"},
    **{"llama_3.1": "llama3.1", "Llama-2": "llama-2", "deepseek-r1": "deepseek_r1"},
    **{"deepseek_coder": "deepseekcoder", "phi-4-mini": "phi4_mini", "openchat3.6": "openchat-3.6"},
    **{"Chat ML": "chatml", "mistral-small": "mistral_small", "au-to": "auto", "glm_4": "glm4"},
}
# Of models that bring their own, as LLaMA-Factory writes them, and otherwise.
OWN = ("gpt-oss", "gptoss", "GPT_OSS", "glm4.7", "glm-4.5v", "qwen3-vl", "gemma-4")
# Misspelt and invented: what is nearest in spelling is another family, the opposite, another size.
INVENTED = (
    *("qwen3_think", "qwen3_thinking", "qwen3_instruct", "qwen3_no_thought", "qwen4", "qwen2_7b"),
    *("glm4.5", "glm45", "glm5", "deepseek3_1", "deepseek_v3", "deepseek_v31", "deepseekr2"),
    *("internlm3", "internlm", "baichuan3", "atom", "llama5", "llama3_2_vision", "gemma5"),
    *("phi5", "mistral_nemo", "mistral7b", "mixtral2", "yi1_5", "granite5", "exaone4", "solar2"),
    *("vicuna2", "cohere2", "command_r", "claude", "xverse", "orion", "bluelm", "q9x!", "chatmll"),
    *("mistrel", "default_system", "emptyy", "chatml_en", "llama2_en", "qwen3_5_think", "smollm4"),
    "qwen2.5_vl",
)


def test_a_hint_is_the_same_name_written_otherwise() -> None:
    assert len(MEANT) == 17
    for name, meant in MEANT.items():
        if name.lower() in {*NAMES, *ALIASES}:
            assert template_names.check(name) == []
            continue
        (problem,) = template_names.check(name)
        assert problem.code == "template_unknown_near"
        near = str(problem.params["near"])
        assert ALIASES.get(near, near) == ALIASES.get(meant, meant), name
        assert template_names.check(near) == []


def test_names_that_differ_in_marks_alone_mean_the_same() -> None:
    bare: dict[str, str] = {}
    for name in (AUTO, *NAMES, *ALIASES):
        meant = ALIASES.get(name, name)
        assert bare.setdefault(template_names._bare(name), meant) == meant, name
    assert not set(bare) & set(map(template_names._bare, BRINGS_ITS_OWN))


def test_any_other_name_is_answered_with_auto_and_no_neighbour() -> None:
    """qwen3_think led to qwen3_nothink, glm4.5 to glm4, baichuan3 to baichuan, atom to auto."""
    names = set(re.findall(r"[\w.-]*\w", " ".join((*NAMES, *ALIASES)))) - {"chatml"}
    for name in (*OWN, *INVENTED):
        (problem,) = template_names.check(name)
        known = name in {*OWN, "internlm"}
        assert problem.code == ("template_brings_own" if known else "template_unknown"), name
        for lang in ("en", "zh"):
            text = problem.text(lang).replace(name.lower(), "")
            assert "auto" in text
            assert not names & set(re.findall(r"[\w.-]*\w", text)), text
    assert len(OWN) + len(INVENTED) == 52
