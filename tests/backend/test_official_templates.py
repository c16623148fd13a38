"""Built-in templates write what the official templates write (line by line in tests/official).

The texts in tests/official/texts.json come from the files that docs/templates.md names.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.models.template_names import NAMES
from backend.data import builtin_templates, spans, templates, tokens
from tests.backend.conftest import make_tokenizer
from tests.official import __main__ as official
from tests.official.cases import ASK, CASES, DONE, SUM, THINKS, TOOLS, WEATHER, Case, call, result
from tests.official.sources import SOURCES, WITHOUT_A_FILE, Source

BYE = {"role": "assistant", "content": "Bye."}
INLINE = {"role": "assistant", "content": "<think>\nIt is late.\n</think>\n\nBye."}
USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind."}
# fschat 0.2.36 (Conversation.get_prompt) for vicuna and baichuan, else LLaMA-Factory's slots at
# ff6d4d1 (src/llamafactory/data/template.py) put together by hand; </s> is the end token.
LITERAL = {
    "alpaca": "Be kind.\n\n### Instruction:\nHi\n\n### Response:\nBye.</s>\n\n",
    "baichuan": "Be kind.<reserved_102>Hi<reserved_103>Bye.</s>",
    "baichuan2": "Be kind.<reserved_106>Hi<reserved_107>Bye.</s>",
    "chatml_de": (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nBye.<|im_end|>\n"
    ),
    "default": "System: Be kind.</s>\nHuman: Hi</s>\nAssistant:Bye.</s>\n",
    "empty": "Be kind.HiBye.</s>",
    "fewshot": "Be kind.HiBye.\n\n</s>",
    "llama2_zh": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nHi [/INST] Bye. </s>",
    "vicuna": "<s>Be kind. USER: Hi ASSISTANT: Bye.</s>",
}
DEFAULTS = {
    "alpaca": (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
    ),
    "chatml_de": "Du bist ein freundlicher und hilfsbereiter KI-Assistent.",
    "llama2_zh": "You are a helpful assistant. 你是一个乐于助人的助手。",
    "vicuna": (
        "A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. "
    ),
}


def test_they_write_what_the_official_files_write_but_for_what_is_listed() -> None:
    """In each conversation the same text, and another one in exactly those that are listed."""
    stored = official.load_texts()
    assert sorted(stored) == sorted(source.key for source in SOURCES)
    seen = 0
    for source in SOURCES:
        differing = {label for labels in source.differs.values() for label in labels}
        conversations = official.cases(source)
        assert list(conversations) == list(stored[source.key]["official"])
        for name in source.names:
            jinja = official.named_jinja(name, source)
            for label, case in conversations.items():
                text = official.render(jinja, case, source)
                theirs = stored[source.key]["official"][label]
                assert (text != theirs) == (label in differing), (name, label, text, theirs)
                if label in differing:
                    assert text == stored[source.key][name][label], (name, label)
                seen += 1
    assert seen > 590


def test_the_stored_texts_are_those_of_the_installed_files() -> None:
    """Those of trl, which is here to be asked; the others are asked by `tests.official texts`."""
    stored = official.load_texts()
    folder = Path(str(importlib.util.find_spec("trl").origin)).parent / "chat_templates"  # type: ignore[union-attr]
    seen = 0
    for source in SOURCES:
        if not source.file.startswith("trl/"):
            continue
        jinja = (folder / source.file.removeprefix("trl/")).read_text(encoding="utf-8")
        for label, case in official.cases(source).items():
            text = official.render(jinja, official.adapt(case, source.shape), source)
            assert text == stored[source.key]["official"][label], (source.file, label)
            seen += 1
    assert seen > 290


def test_every_named_template_is_in_the_table_and_the_page_is_fresh() -> None:
    """Stale? python -m tests.official write"""
    compared = {name for source in SOURCES for name in source.names}
    assert compared | set(WITHOUT_A_FILE) == set(NAMES) == set(builtin_templates.BUILTIN)
    assert not compared & set(WITHOUT_A_FILE)
    assert set(LITERAL) == set(WITHOUT_A_FILE)
    assert official.main(["check"]) == 0


def test_formats_without_a_file_of_a_model() -> None:
    for name, text in LITERAL.items():
        source = Source(names=(name,), file="", origin="", begin="<s>")
        jinja = official.named_jinja(name, source)
        conversation = Case([SYSTEM, USER, BYE])
        assert official.render(jinja, conversation, source) == text
        bare = official.render(jinja, Case([USER, BYE]), source) or ""
        assert DEFAULTS.get(name, "Hi") in bare
        assert "None" not in bare


def test_mistral_as_mistral_s_own_library_writes_it() -> None:
    """mistral-common 1.13.1 (v3, v3 tekken, v7), its sentencepiece blanks as blanks.

    v7 is compared without the blank behind each mark, which is sentencepiece's: the tokenizer of
    Mistral Small (tekken) writes none.
    """
    listed = (
        '[{"type": "function", "function": {"name": "rain", "description": "Rain of a place", '
        '"parameters": {"type": "object", "properties": {"city": {"type": "string", "description": '
        '"name, 城市"}, "days": {"type": "integer", "description": "how many"}}, "required": '
        '["city"]}}}, {"type": "function", "function": {"name": "clock", "description": '
        '"Tells the time.", "parameters": {"type": "object", "properties": {}, "required": []}}}]'
    )
    made = '[{"name": "rain", "arguments": {"city": "Rome", "days": 2}, "id": "call00001"}]'
    wanted = {
        "mistral": (
            f"<s>[AVAILABLE_TOOLS] {listed}[/AVAILABLE_TOOLS][INST] Rome's weather?[/INST]"
            f'[TOOL_CALLS] {made}</s>[TOOL_RESULTS] {{"content": {{"mm": 4}}, '
            '"call_id": "call00001"}[/TOOL_RESULTS]'
        ),
        "ministral": (
            f"<s>[AVAILABLE_TOOLS]{listed}[/AVAILABLE_TOOLS][INST]Rome's weather?[/INST]"
            f'[TOOL_CALLS]{made}</s>[TOOL_RESULTS]{{"content": {{"mm": 4}}, '
            '"call_id": "call00001"}[/TOOL_RESULTS]'
        ),
        "mistral_small": (
            f"<s>[AVAILABLE_TOOLS]{listed}[/AVAILABLE_TOOLS][INST]Rome's weather?[/INST]"
            f"[TOOL_CALLS]{made}</s>[TOOL_RESULTS]call00001[TOOL_CONTENT]"
            '{"mm": 4}[/TOOL_RESULTS]'
        ),
    }
    for name, text in wanted.items():
        source = Source(names=(name,), file="", origin="", begin="<s>")
        jinja = official.named_jinja(name, source)
        assert official.render(jinja, CASES["result"], source) == text


def test_a_result_that_is_no_json_goes_in_quotes() -> None:
    """mistral-common 1.13.1, its versions 3 and 3 tekken: results are JSON, so texts are in quotes.

    The template wrote {"content": It's sunny., which is none.
    """
    source = Source(names=("mistral",), file="", origin="", begin="<s>")
    wanted = {
        'It\'s "sunny".\n城': '"It\'s \\"sunny\\".\\n城"',
        "12:00": '"12:00"',
        "nan": '"nan"',
        "": '""',
        '"': '"\\""',
        '{"mm": 4}': '{"mm": 4}',
        "[1, 2]": "[1, 2]",
        '"sunny"': '"sunny"',
        "-22": "-22",
        "3.5": "3.5",
        "true": "true",
        "null": "null",
    }
    for name in ("mistral", "ministral"):
        jinja = official.named_jinja(name, source)
        for content, written in wanted.items():
            answer = {"role": "tool", "content": content, "tool_call_id": "call00001"}
            case = Case([WEATHER, call("", ("rain", {})), answer], TOOLS)
            text = official.render(jinja, case, source) or ""
            assert text.endswith(f'{{"content": {written}, "call_id": "call00001"}}[/TOOL_RESULTS]')


def test_llama_3_2_has_the_day_on_which_it_is_asked() -> None:
    """trl 1.16.0, llama3_2.jinja: strftime_now where the renderer has it, as transformers does."""
    source = Source(names=("llama3.2",), file="", origin="")
    text = official.render(official.named_jinja("llama3.2", source), Case([ASK]), source)
    assert text is not None
    (day,) = re.findall(r"Today Date: (\d\d \w{3} \d{4})\n", text)
    assert day != "26 Jul 2024"


def test_calls_without_ids_are_written() -> None:
    """Rows rarely have ids; the official file refuses them, LLaMA-Factory leaves them out."""
    calls = call("", ("rain", {"city": "Rome"}))
    calls["tool_calls"][0].pop("id")
    answer = {"role": "tool", "content": '{"mm": 4}'}
    source = Source(names=("mistral",), file="", origin="", begin="<s>")
    text = official.render(
        official.named_jinja("mistral", source),
        Case([WEATHER, calls, answer], TOOLS),
        source,
    )
    assert text is not None
    assert text.endswith(
        '[TOOL_CALLS] [{"name": "rain", "arguments": {"city": "Rome"}}]</s>'
        '[TOOL_RESULTS] {"content": {"mm": 4}}[/TOOL_RESULTS]'
    )


def learn(name: str, messages: list[Any], tools: Any = None, **values: Any) -> tuple[str, str]:
    """The text before the last answer of a conversation, and what is learned of it."""
    tokenizer = make_tokenizer(eos="<｜end▁of▁sentence｜>")
    template = templates.load(resolve({"template": name, **values}), tokenizer)
    written = spans.render_conversation(template, messages, tools)[-1]
    encoded = tokens.encode([written], template, tokens.Policy(4096))[0]
    answer = written.spans[-1]
    learned = [i for i in encoded.labels if i != tokens.IGNORED]
    text = written.text[answer.start : answer.end]
    assert tokenizer.decode(learned).endswith(text)
    return written.text[: answer.start], text


@pytest.mark.parametrize(
    ("name", "thinking", "prompt", "learned"),
    [
        ("qwen3", None, "assistant\n", "<think>\n\n</think>\n\nBye.<|im_end|>"),
        ("qwen3", True, "assistant\n", "<think>\n\n</think>\n\nBye.<|im_end|>"),
        ("qwen3", False, "assistant\n<think>\n\n</think>\n\n", "Bye.<|im_end|>"),
        ("qwen3_5", None, "assistant\n<think>\n", "\n</think>\n\nBye.<|im_end|>"),
        ("qwen3_5", True, "assistant\n<think>\n", "\n</think>\n\nBye.<|im_end|>"),
        ("qwen3_5", False, "assistant\n<think>\n\n</think>\n\n", "Bye.<|im_end|>"),
        ("qwen3_5_nothink", None, "assistant\n<think>\n\n</think>\n\n", "Bye.<|im_end|>"),
        ("qwen3_5_nothink", True, "assistant\n<think>\n", "\n</think>\n\nBye.<|im_end|>"),
        ("deepseekr1", None, "<｜Assistant｜><think>\n", "\n</think>\n\nBye.<｜end▁of▁sentence｜>"),
        ("deepseekr1", True, "<｜Assistant｜><think>\n", "\n</think>\n\nBye.<｜end▁of▁sentence｜>"),
        (
            "deepseekr1",
            False,
            "<｜Assistant｜><think>\n\n</think>\n\n",
            "Bye.<｜end▁of▁sentence｜>",
        ),
        ("qwen3_nothink", False, "assistant\n", "Bye.<|im_end|>"),
    ],
)
def test_the_empty_thought_is_learned_unless_it_is_told(
    name: str, thinking: bool | None, prompt: str, learned: str
) -> None:
    """As LLaMA-Factory's ReasoningTemplate: learned where thinking is on, else in the prompt."""
    values = {} if thinking is None else {"enable_thinking": thinking}
    before, text = learn(name, [USER, BYE], **values)
    assert before.endswith(prompt)
    assert text == learned


@pytest.mark.parametrize("answer", [THINKS, INLINE], ids=["field", "within"])
@pytest.mark.parametrize("name", ["qwen3", "qwen3_5", "deepseekr1"])
def test_a_thought_is_learned(name: str, answer: dict[str, Any]) -> None:
    before, text = learn(name, [SUM, answer])
    thought = "2 + 3\nis 5." if answer is THINKS else "It is late."
    expected = "Five." if answer is THINKS else "Bye."
    assert (before + text).count(f"<think>\n{thought}\n</think>\n\n{expected}") == 1
    assert text.startswith(("<think>\n" + thought, thought))


@pytest.mark.parametrize("answer", [THINKS, INLINE], ids=["field", "within"])
@pytest.mark.parametrize("name", ["qwen3", "qwen3_5", "qwen3_5_nothink", "deepseekr1"])
def test_no_thought_is_learned_where_none_is_asked_for(name: str, answer: dict[str, Any]) -> None:
    """LLaMA-Factory's ReasoningTemplate with enable_thinking: false takes it away, too."""
    before, text = learn(name, [SUM, answer], enable_thinking=False)
    assert before.endswith("<think>\n\n</think>\n\n")
    assert text.startswith("Five.<" if answer is THINKS else "Bye.<")


TOOLED = {
    "qwen": '<tool_call>\n{"name": "rain", "arguments": {"city": "Rome"}}\n</tool_call>',
    "qwen3_5": (
        "<tool_call>\n<function=rain>\n<parameter=city>\nRome\n</parameter>\n</function>\n"
        "</tool_call>"
    ),
    "llama3": '{"name": "rain", "parameters": {"city": "Rome"}}',
    "mistral": '[TOOL_CALLS] [{"name": "rain", "arguments": {"city": "Rome"}, "id": "call00001"}]',
    "glm4": 'rain\n{"city": "Rome"}',
    "hermes": '<tool_call>\n{"name": "rain", "arguments": {"city": "Rome"}}\n</tool_call>',
    "granite3": '<|tool_call|>[{"name": "rain", "arguments": {"city": "Rome"}}]',
    "granite4": '<tool_call>\n{"name": "rain", "arguments": {"city": "Rome"}}\n</tool_call>',
    "deepseek3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>rain\n```json\n"
        '{"city": "Rome"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    ),
}


@pytest.mark.parametrize("name", TOOLED)
def test_a_call_is_learned_in_the_model_s_own_form(name: str) -> None:
    """And the tool's result is not in words: no notice says so, and the tools are listed."""
    calls = call("", ("rain", {"city": "Rome"}))
    before, text = learn(name, [WEATHER, calls], TOOLS)
    assert TOOLED[name] in text
    assert "Tells the time." in before
    answered, answer = learn(name, [WEATHER, calls, result('{"mm": 4}'), DONE], TOOLS)
    assert answer.startswith(("It rains.", "\nIt rains.", " It rains.", "<think>", "\n</think>"))
    assert "mm" in answered
    assert answer.count("rains") == 1
    assert templates.load(resolve({"template": name}), make_tokenizer()).knows_tools


def test_a_conversation_without_an_answer_asks_for_one() -> None:
    """Every built-in template ends a question with what asks for an answer, and no other text."""
    seen = 0
    for name in NAMES:
        template = templates.load(resolve({"template": name}), make_tokenizer())
        prompt = template.render([ASK], add_generation_prompt=True)
        whole = template.render([ASK, BYE])
        assert "Who are you?" in prompt
        assert "Bye." not in prompt
        same = whole.startswith(prompt)
        assert same, name
        seen += 1
    assert seen == len(builtin_templates.BUILTIN)
