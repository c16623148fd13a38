"""What is learned is what the assistant has to say, on the templates that models come with.

trl ships the chat templates of many model families; each is attached to a tokenizer that knows its
special tokens. The oracle is the template itself: rendered up to an answer, and with it.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.contract.arguments.arguments import resolve
from backend.data import builtin_templates, spans, templates, tokens
from backend.data.rendering import Template
from backend.datafiles.turns import RowError
from tests.backend.conftest import make_tokenizer
from tests.backend.test_tokens import learned_runs

FOLDER = Path(str(importlib.util.find_spec("trl").origin)).parent / "chat_templates"  # type: ignore[union-attr]
SHIPPED = {
    path.stem: path.read_text(encoding="utf-8")
    for path in sorted(FOLDER.glob("*.jinja"))
    if not path.stem.endswith("_training")  # the same with {% generation %} marks
}
POLICY = tokens.Policy(1_000_000)
ANSWERS = ("I am Tuneboard 👩‍👩‍👧. 你好！", "user assistant\nFrance: été\n\n```py\nx = 1\n```")
CHAT = [
    {"role": "user", "content": "你好 😀, who are you?"},
    {"role": "assistant", "content": ANSWERS[0]},
    {"role": "user", "content": "assistant user <x>"},
    {"role": "assistant", "content": ANSWERS[1]},
]
SYSTEM = {"role": "system", "content": "Be brief. 简短"}
THOUGHT = {"role": "assistant", "content": "<think>\nLet me see.\n</think>\n\nNoon."}
TOOL = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tells the time.",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string", "description": "where"}},
            "required": ["zone"],
        },
    },
}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"type": "function", "function": {"name": "clock", "arguments": {"zone": "巴黎"}}}
    ],
}
TOOLED: list[dict[str, Any]] = [
    {"role": "user", "content": "time?"},
    CALL,
    {"role": "tool", "content": "12:00"},
    {"role": "assistant", "content": "It is noon."},
]


def special(jinja: str) -> list[str]:
    """The special tokens that a template writes."""
    marks = re.findall(r"<[|｜][^<>{}]{1,40}[|｜]>|<\|?[a-z_]+\|?>|\[/?[A-Z_]{2,}\]", jinja)
    tokens_ = [
        mark for mark in dict.fromkeys(marks) if not mark.startswith(("<think", "<tool", "<x"))
    ]
    return tokens_ or ["</s>"]


def load_template(name: str, **values: Any) -> Template:
    jinja = SHIPPED.get(name)
    options: dict[str, Any] = {"template": "auto" if jinja else name.removeprefix("our "), **values}
    tokenizer = make_tokenizer(*(special(jinja) if jinja else []), template=jinja, eos="</s>")
    if "bos_token" in (jinja or ""):
        tokenizer.bos_token = "<|endoftext|>"
    return templates.load(resolve(options), tokenizer)


def encode_chat(
    template: Template, messages: list[Any], tools: Any = None
) -> list[tuple[tokens.Encoded, spans.RenderedText]]:
    written = spans.render_conversation(template, messages, tools)
    return list(zip(tokens.encode(written, template, POLICY), written, strict=True))


def render_prompt(
    template: Template, messages: list[Any], tools: Any, index: int
) -> tuple[str, str]:
    """The prompt for one answer, and the conversation to its end, as the template writes them."""
    ready, tools = template.fit(messages, tools)
    index += len(ready) - len(messages)
    return template.write(ready[:index], tools, True), template.write(ready[: index + 1], tools)


def holds(template: Template, messages: list[Any], tools: Any = None) -> None:
    """The rule: whole == joined parts; learned == the answers with their ends, nothing else."""
    examples = encode_chat(template, messages, tools)
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    pairs = []
    for example, written in examples:
        assert template.tokenizer.decode(example.ids) == written.text
        runs = learned_runs(template, example)
        assert [written.text[span.start : span.end] for span in written.spans] == runs
        pairs += [(written.text, run) for run in runs]
    assert len(pairs) == len(answers)
    for (text, run), index in zip(pairs, answers, strict=True):
        prompt, whole = render_prompt(template, messages, tools, index)
        content = str(messages[index]["content"]).strip()
        end = next((end for end in template.ends if end in run.removeprefix(content)), "")
        if not messages[index].get("tool_calls"):  # a call may be ended by another token
            assert end or not template.end or not text.startswith(whole)
        assert run in text.removeprefix(prompt)
        if whole.startswith(prompt):  # else the prompt opens a thought that the template drops
            assert (
                run.removesuffix(end).strip() in whole.removeprefix(prompt) or "<think>" in content
            )
        assert "".join(content.split()) in "".join(run.split()) or content.startswith("<think>")
        for other in (str(message["content"]).strip() for message in messages):
            assert other in content or not other or other not in run
    if len(examples) == 1:
        text, run = pairs[-1]
        prompt, _ = render_prompt(template, messages, tools, answers[-1])
        assert text in {template.render(messages, tools), prompt + run}


NO_CALLS = {"lfm2"}  # lists the tools, and has no place for a call
ALL = [*SHIPPED, *(f"our {name}" for name in builtin_templates.BUILTIN)]


def test_there_are_many_templates() -> None:
    assert len(SHIPPED) >= 30
    assert len(ALL) >= 50


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "messages",
    [CHAT[:2], CHAT, [SYSTEM, *CHAT], [*CHAT[:1], THOUGHT], [*CHAT[:3], THOUGHT, *CHAT[:2]]],
    ids=["single", "several", "system", "thinking", "thinking before"],
)
def test_the_mask_rule(name: str, messages: list[Any]) -> None:
    holds(load_template(name), messages)


@pytest.mark.parametrize("name", ALL)
def test_the_mask_rule_with_tools(name: str) -> None:
    if name in NO_CALLS:
        with pytest.raises(RowError):
            holds(load_template(name), TOOLED, [TOOL])
    else:
        holds(load_template(name), TOOLED, [TOOL])


PARTS = st.sampled_from(
    [
        *(
            "你好",
            "😀",
            "👩‍👩‍👧",
            "é",
            "\n",
            "  ",
            "a",
            "user",
            "assistant",
            "<|im_end|>",
            "<think>",
            "</think>",
        ),
        *("<|im_start|>assistant\n", "[INST]", "</s>", "<end_of_turn>", "{{ x }}", "\u200f", "0"),
    ]
)
TEXTS = st.lists(PARTS, min_size=1, max_size=6).map("".join).filter(str.strip)
PLAIN = TEXTS.filter(lambda text: "think>" not in text)
SOME = ["qwen2_5", "qwen3", "gemma3", "llama3_1", "phi3", "gptoss", "our chatml", "our glm4"]
MADE = {name: load_template(name) for name in SOME}


@given(
    name=st.sampled_from(SOME),
    turns=st.lists(st.tuples(TEXTS, PLAIN), min_size=1, max_size=3),
    system=st.none() | PLAIN,
)
@settings(max_examples=150, deadline=None)
def test_any_conversation_is_learned_where_it_answers_or_refused(
    name: str, turns: list[tuple[str, str]], system: str | None
) -> None:
    """Ids are those of the text; the learned runs, joined, hold each answer in its order."""
    template = MADE[name]
    messages = [{"role": "system", "content": system}] if system else []
    for asked_text, answer in turns:
        messages.append({"role": "user", "content": asked_text})
        messages.append({"role": "assistant", "content": answer})
    try:
        examples = encode_chat(template, messages)
    except RowError as error:
        assert error.code in {"row_template_refuses", "row_template_unclear"}  # noqa: PT017
        return
    texts = []
    for example, written in examples:
        assert template.tokenizer.decode(example.ids) == written.text
        runs = [written.text[span.start : span.end] for span in written.spans]
        assert "".join(learned_runs(template, example)) == "".join(runs)
        texts += runs
    assert len(texts) == len(turns)
    for run, (_, answer) in zip(texts, turns, strict=True):
        assert answer.strip() in run or "".join(answer.split()) in "".join(run.split())
        assert len("".join(run.split())) <= len("".join(answer.split())) + 60
