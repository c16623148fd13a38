"""Every chat template that transformers and trl ship, as this program writes it.

The right values are transformers' own: apply_chat_template for the prompt, and its compiled
template, given messages that note which of their fields are read. Templates of trl 1.16 and those
within the source of transformers 5.23 (Llama 4, Qwen2-Audio, SmolVLM).
"""

import ast
import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from backend.contract.arguments.arguments import resolve
from backend.data import spans, templates, tokens
from backend.data.rendering import RENDER_ERRORS, Template
from backend.data.template_fields import ANY, reads
from backend.datafiles.turns import THOUGHTS, RowError
from tests.backend.test_mask_rule import TOOL, TOOLED, special
from tests.backend.tokenizer_kinds import make


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@functools.cache
def within_transformers() -> dict[str, str]:
    """The chat templates that stand in its source as texts."""
    templates_ = {}
    for path in sorted(_folder("transformers").glob("models/*/processing_*.py")):
        source = path.read_text(encoding="utf-8")
        if "add_generation_prompt" not in source or "{%" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "{%" in text and "add_generation_prompt" in text:
                templates_[path.stem] = text
    return templates_


TRL = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted((_folder("trl") / "chat_templates").glob("*.jinja"))
}
ALL = {**TRL, **within_transformers()}
POLICY = tokens.Policy(1_000_000)
ASK = {"role": "user", "content": "Add one and three."}
SAY = {"role": "assistant", "content": "It is 4."}
SYSTEM = {"role": "system", "content": "Be brief."}
THINKS = {**SAY, "reasoning_content": "Add the two."}
CHATS: dict[str, list[dict[str, Any]]] = {
    "a question": [ASK],
    "system": [SYSTEM, ASK],
    "history": [ASK, SAY, {**ASK, "content": "And?"}],
    "history of thoughts": [ASK, THINKS, {**ASK, "content": "And?"}],
    "tools": [SYSTEM, ASK],
    "results": TOOLED[:3],
}
# These never open or close a thought: nothing of a row's thought can be learned on them.
NO_THOUGHTS = {
    *("cohere", "cohere2", "gemma", "gemma3", "gemma4_v2", "idefics3", "lfm2"),
    *("lfm2_v2", "llama3", "llama3_1", "llama3_2", "llava_next", "phi3", "phi3_5", "qwen2_5"),
    *("qwen2_5_vl", "qwen3_instruct_2507", "qwen3_vl", "smolvlm"),
    *within_transformers(),
}
# They write thoughts where tools are called, but not in a last answer (mended in gemma4_v5).
NOT_AT_THE_END = {"gemma4", "gemma4_v3", "gemma4_v4"}
# Thinking is off there unless it is asked for.
OPT_IN = {"qwen3_5_nothink"}


@functools.cache
def load_template(name: str, thinking: bool | None = None) -> Template:
    tokenizer = make("qwen", special(ALL[name]), ALL[name])
    return templates.load(resolve({"template": "auto", "enable_thinking": thinking}), tokenizer)


def official(template: Template, messages: list[Any], tools: Any, **variables: Any) -> str:
    if template.in_parts:
        messages = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
    return str(
        template.tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=True, tokenize=False, **variables
        )
    )


def test_the_templates_are_those_of_the_packages() -> None:
    assert len(TRL) >= 60
    assert set(within_transformers()) >= {
        "processing_llama4",
        "processing_qwen2_audio",
        "processing_smolvlm",
    }


@pytest.mark.parametrize("thinking", [None, True, False])
def test_the_prompt_is_the_template_s_own(thinking: bool | None) -> None:
    """With enable_thinking not said, nothing is passed; said, it is passed as it is.

    It was always passed as true: Gemma 4's prompt then asks for thinking, Qwen3.5's small models
    are asked otherwise than by every other program.
    """
    seen = 0
    variables = {} if thinking is None else {"enable_thinking": thinking}
    for name in ALL:
        template = load_template(name, thinking)
        for kind, chat in CHATS.items():
            if kind == "system" and not template.knows_system:
                continue
            tools = [TOOL] if kind in {"tools", "results"} else None
            if tools and not template.knows_tools:
                continue
            try:
                text = official(template, chat, tools, **variables)
            except RENDER_ERRORS:  # no place for a system text beside tools, or for results
                continue
            ids = template.tokenizer(text, add_special_tokens=False)["input_ids"]
            assert template.encode_prompt(chat, tools) == ids, (name, kind)
            assert template.render(chat, tools, add_generation_prompt=True) == text, (name, kind)
            seen += 1
    assert seen >= 4 * len(ALL)


def test_thinking_that_is_opt_in_stays_off() -> None:
    """Each value on the templates of the issue: the end of the prompt, read off the templates."""
    ends = {
        ("qwen3_5_nothink", None): "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ("qwen3_5_nothink", True): "<|im_start|>assistant\n<think>\n",
        ("qwen3_5_nothink", False): "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ("qwen3_5_think", None): "<|im_start|>assistant\n<think>\n",
        ("qwen3_5_think", False): "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ("qwen3", None): "<|im_start|>assistant\n",
        ("qwen3", True): "<|im_start|>assistant\n",
        ("qwen3", False): "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    }
    for (name, thinking), end in ends.items():
        assert load_template(name, thinking).render([ASK], None, True).endswith(end), (
            name,
            thinking,
        )
    assert "<|think|>" not in load_template("gemma4").render([ASK], None, True)
    assert "<|think|>" in load_template("gemma4", True).render([ASK], None, True)


def test_enable_thinking_that_changes_nothing_is_said() -> None:
    """One notice where the template has no such switch, none where nothing was asked."""
    answers = {}
    for name in ALL:
        asked = [notice.code for notice in load_template(name, True).notices]
        answers[name] = asked.count("thinking_not_switched")
        assert "thinking_not_switched" not in [
            notice.code for notice in load_template(name).notices
        ]
        code = re.sub(r"{#.*?#}", "", ALL[name], flags=re.DOTALL)  # without its comments
        assert answers[name] == ("enable_thinking" not in code), name
    assert 15 <= sum(answers.values()) < len(ALL)


def test_deepseek_s_switch_has_another_name() -> None:
    """DeepSeek-V3.1 and Granite 3.2 name the variable `thinking`."""
    jinja = (
        "{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
        "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: "
        "{{ '<think>' if thinking else '</think>' }}{% endif %}"
    )

    def prompt(thinking: bool | None) -> str:
        tokenizer = make("qwen", [], jinja)
        return templates.load(resolve({"enable_thinking": thinking}), tokenizer).render(
            [ASK], None, True
        )

    assert prompt(None).endswith("</think>")
    assert prompt(False).endswith("</think>")
    assert prompt(True).endswith("<think>")


class Noting(dict[str, Any]):
    """A message that notes which of its fields are asked for."""

    def __init__(self, fields: dict[str, Any], noted: set[str]) -> None:
        super().__init__(fields)
        self.noted = noted

    def __getitem__(self, key: str) -> Any:
        self.noted.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.noted.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.noted.add(str(key))
        return super().__contains__(key)


def test_every_field_that_is_read_is_known() -> None:
    """What a rendering asks its messages for was all found in the template's text before."""
    seen = 0
    full = {name: "why" for name in ("reasoning", "thinking", "reasoning_content", "name")}
    for name, jinja in ALL.items():
        fields, noted = reads(jinja).fields, set[str]()
        compiled = _compile_jinja_template(jinja)
        chats: list[list[dict[str, Any]]] = [
            *CHATS.values(),
            TOOLED,
            [ASK, THINKS],
            [SYSTEM, ASK, {**SAY, **full}],
        ]
        for chat in chats:
            for parts in (False, True):
                messages = [
                    Noting(
                        {
                            **m,
                            "content": [{"type": "text", "text": m["content"]}]
                            if parts
                            else m["content"],
                        },
                        noted,
                    )
                    for m in chat
                ]
                try:
                    compiled.render(
                        messages=messages,
                        tools=[TOOL],
                        add_generation_prompt=True,
                        bos_token="<s>",
                        eos_token="</s>",
                    )
                except RENDER_ERRORS:
                    continue
                seen += 1
        assert {"role", "content"} <= noted
        assert ANY not in fields
        assert noted <= fields, (name, noted - fields)
    assert seen >= 8 * len(ALL)


# What their callers give, read off all of them by eye; the last four are given by transformers.
SWITCHES = {
    *("add_generation_prompt", "add_vision_id", "enable_thinking", "low_effort", "medium_effort"),
    *("preserve_thinking", "tools_in_user_message", "truncate_history_thinking"),
}
VARIABLES = SWITCHES | {
    *("builtin_tools", "current_date", "custom_tools", "date_string", "knowledge_cutoff"),
    *("messages", "model_identity", "reasoning_effort", "reasoning_strength", "tools"),
    *("tool_namespace_descriptions", "bos_token", "eos_token"),
    *("raise_exception", "strftime_now"),
}


def test_the_variables_are_those_that_a_caller_gives() -> None:
    """A request that names a wrong one is told them: no name that a template sets for itself."""
    names, switches = set(), set()
    for jinja in ALL.values():
        names |= reads(jinja).variables
        switches |= reads(jinja).switches
    assert names == VARIABLES
    assert switches == SWITCHES


def learned_texts(template: Template, messages: list[Any], tools: Any = None) -> list[str]:
    examples = tokens.encode(spans.render_conversation(template, messages, tools), template, POLICY)
    texts = []
    for example in examples:
        ids = [
            index
            for index, label in zip(example.ids, example.labels, strict=True)
            if label != tokens.IGNORED
        ]
        texts.append(template.tokenizer.decode(ids))
    return texts


@pytest.mark.parametrize("field", THOUGHTS)
def test_a_thought_is_learned_under_each_of_its_names(field: str) -> None:
    """{"reasoning_content": "Add the two.", "content": "4"} was learned as an empty thought and 4.

    Whatever name a row gives it, each template that has a place for a thought writes it."""
    seen = 0
    for name in ALL:
        base = name.removesuffix("_training")
        thinking = True if base in OPT_IN else None
        (text,) = learned_texts(
            load_template(name, thinking), [ASK, {**SAY, field: "Add the two."}]
        )
        assert "It is 4." in text
        expected = base not in NO_THOUGHTS | NOT_AT_THE_END
        assert ("Add the two." in text) == expected, (name, text)
        assert load_template(name).ignores(field) == (base in NO_THOUGHTS), name
        seen += expected
    assert seen >= 30


def test_a_thought_before_a_tool_call_is_learned() -> None:
    chat = [ASK, {**TOOLED[1], "reasoning_content": "Look it up."}, *TOOLED[2:]]
    seen = 0
    for name in ALL:
        base = name.removesuffix("_training")
        template = load_template(name, True if base in OPT_IN else None)
        if base in NO_THOUGHTS or not (template.knows_tools or "r1" in base):
            continue
        try:
            text = "".join(learned_texts(template, chat, [TOOL]))
        except RowError:
            continue
        assert "Look it up." in text, name
        assert "clock" in text.split("Look it up.")[1], name
        seen += 1
    assert seen >= 30


def test_thinking_that_is_off_learns_no_thought() -> None:
    """The prompt then has an empty thought already; the answer, or its call, follows that."""
    for name in ("qwen3", "qwen3_5_think", "qwen3_6", "glm4moe", "nemotron_3_nano"):
        template = load_template(name, False)
        (text,) = learned_texts(template, [ASK, THINKS])
        assert text.lstrip().startswith("It is 4."), name
        (text,) = learned_texts(
            template, [ASK, {**SAY, "content": "<think>\nhm\n</think>\n\nIt is 4."}]
        )
        assert text.lstrip().startswith("It is 4."), name
        chat = [ASK, {**TOOLED[1], "reasoning_content": "Look it up."}]
        (text,) = learned_texts(template, chat, [TOOL])
        assert text.lstrip().startswith("<tool_call>"), name


def test_a_thought_that_the_prompt_opens_is_closed() -> None:
    """Gemma 4's prompt behind a tool's result opens a thought where thinking is on."""
    template = load_template("gemma4_v5", True)
    assert template.render(TOOLED[:3], [TOOL], True).endswith("<|channel>thought\n")
    assert learned_texts(template, TOOLED, [TOOL])[-1] == "\n<channel|>It is noon.<turn|>"
    assert learned_texts(load_template("qwen3_5_think"), [ASK, SAY]) == [
        "\n</think>\n\nIt is 4.<|im_end|>"
    ]


def test_history_that_is_written_otherwise_leaves_the_answer_whole() -> None:
    """gpt-oss writes the thought before a call only until the final answer: that answer lost its
    header (analysis and final channel) when the row was taken apart."""
    chat = [
        *TOOLED[:1],
        {**TOOLED[1], "thinking": "Look it up."},
        TOOLED[2],
        {**TOOLED[3], "thinking": "So."},
    ]
    assert learned_texts(load_template("gptoss"), chat, [TOOL])[-1] == (
        "<|channel|>analysis<|message|>So.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>It is noon.<|return|>"
    )


def test_calls_are_in_the_template_s_own_form_where_it_lists_no_tools() -> None:
    """DeepSeek-V3's template has a form for calls and results (of arguments that are texts) and no
    place for the tools: these are described in words, and calls are not written in words."""
    template = load_template("deepseekv3")
    call, answer = learned_texts(template, TOOLED, [TOOL])
    assert "<｜tool▁call▁begin｜>function<｜tool▁sep｜>clock\n```json\n{" in call
    assert answer.strip().endswith("It is noon.<｜end▁of▁sentence｜>")
    prompt = template.render(TOOLED[:1], [TOOL], True)
    assert '<tools>\n{"type": "function"' in prompt
    assert "<tool_call>" not in prompt
