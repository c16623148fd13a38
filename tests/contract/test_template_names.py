"""The template names that page and command know are those that the worker can write."""

import difflib

import pytest

from backend.contract import template_names
from backend.contract.template_names import ALIASES, AUTO, BRINGS_ITS_OWN, NAMES, OFFERED
from backend.data import named

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
    assert set(NAMES) == set(named.NAMED)
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & {*NAMES, AUTO}
    assert set(OFFERED) <= {AUTO, *NAMES}
    assert not BRINGS_ITS_OWN & {AUTO, *NAMES, *ALIASES}


@pytest.mark.parametrize("name", [None, "", "auto", " ChatML ", *NAMES, *ALIASES])
def test_a_known_name_is_no_problem(name: str | None) -> None:
    assert template_names.check({"template": name}) == []


def test_every_name_of_llama_factory_is_written_or_answered_with_auto() -> None:
    names = IN_LLAMA_FACTORY.split()
    assert len(names) == len(set(names)) == 124
    written = 0
    for name in names:
        problems = template_names.check({"template": name.upper()})
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
        problems = template_names.check({"template": name})
        if meant is None:
            assert [one.code for one in problems] == ["template_brings_own"]
        else:
            assert named.pieces(name) == named.NAMED[meant]


@pytest.mark.parametrize(
    ("name", "near"),
    [("chatmll", "chatml"), ("qwen3nothink", "qwen3_nothink"), ("mistrel", "mistral")],
)
def test_a_hint_is_a_name_of_similar_spelling_that_is_taken(name: str, near: str) -> None:
    (problem,) = template_names.check({"template": name})
    assert problem.code == "template_unknown_near"
    assert problem.params["near"] == near
    assert template_names.check({"template": near}) == []


@pytest.mark.parametrize("name", ["q9x!", "claude", "xverse", "orion", "bluelm", "command_r"])
def test_a_name_like_no_other_gets_no_hint(name: str) -> None:
    (problem,) = template_names.check({"template": name})
    assert problem.code == "template_unknown"
    known = [AUTO, *NAMES, *ALIASES]
    assert max(difflib.SequenceMatcher(None, name, one).ratio() for one in known) < 0.75
