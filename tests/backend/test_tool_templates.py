"""Calls as chat templates write them are read back: names, arguments, content and thought.

Every template that trl 1.16 ships (trl/chat_templates, the models' own files) and transformers 5.23
(Llama 4's, in its code) is in the table, with what it writes of an answer that calls tools.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trl
from transformers.models.llama4 import processing_llama4

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.models.template_names import AUTO, NAMES
from backend.data import templates
from backend.serving.reasoning import Style
from tests.backend.conftest import make_tokenizer

CONTENT, THOUGHT, SEVERAL = "content", "thought", "several"
ALL = {CONTENT, THOUGHT, SEVERAL}
# What a template writes of an answer with calls. Llama's raise for a second call, gpt-oss's writes
# the first and takes the content for a thought, Muse Glimmer's leaves out the content.
WRITES = {
    "deepseekv3": {CONTENT, SEVERAL},
    "diffusion_gemma": ALL,
    "gemma4": ALL,
    "gemma4_v2": {CONTENT, SEVERAL},
    "gemma4_v3": ALL,
    "gemma4_v4": ALL,
    "gemma4_v5": ALL,
    "glm4moe": ALL,
    "gptoss": {THOUGHT},
    "lfm2_2_5": ALL,
    "lfm2_2_5_v2": ALL,
    "lfm2_2_5_vl": ALL,
    "lfm2_v2": {CONTENT, SEVERAL},
    "llama3_1": set(),
    "llama3_2": set(),
    "llama4": {CONTENT, SEVERAL},
    "muse_glimmer": {THOUGHT, SEVERAL},
    "nemotron_3_5_lightning": ALL,
    "nemotron_3_nano": ALL,
    "nemotron_3_super": ALL,
    "nemotron_3_ultra": ALL,
    "qwen2_5": {CONTENT, SEVERAL},
    "qwen3": ALL,
    "qwen3_5_nothink": {CONTENT, SEVERAL},  # its prompt has ended the thought
    "qwen3_5_think": ALL,
    "qwen3_6": ALL,
    "qwen3_8": ALL,
    "qwen3_instruct_2507": {CONTENT, SEVERAL},
    "qwen3_vl": {CONTENT, SEVERAL},
}
# Writes calls only where the content is None, and transformers 5.23 takes None out of messages.
NEVER = {"deepseek_r1_distill"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "set_alarm",
            "description": "Set it.",
            "parameters": {
                "type": "object",
                "properties": {
                    "label": {"type": "string", "description": "Its text"},
                    "hour": {"type": "integer", "description": "From 0"},
                    "level": {"type": "number", "description": "Of sound"},
                    "on": {"type": "boolean", "description": "Or off"},
                    "zip": {"type": "string", "description": "Digits"},
                    "none": {"type": ["string", "null"], "description": "Nothing"},
                    "days": {"type": "array", "items": {"type": "string"}},
                    "place": {"type": "object", "properties": {}},
                },
                "required": ["label"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]
QUOTED = ("set_alarm", {"label": 'He said "it\'s 5", twice: [a] {b}, (c)', "hour": 1})
CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "one": [("set_alarm", {"label": "tea", "hour": 7})],
    "quotes": [QUOTED],
    "line breaks": [("set_alarm", {"label": "\nfirst\n\n  second  \n", "hour": 1})],
    "blanks": [("set_alarm", {"label": "  ", "hour": 0})],
    "unicode": [("set_alarm", {"label": "巴黎 🌧 é \u2028", "hour": 1})],
    "backslashes": [
        ("set_alarm", {"label": "C:\\new \\frac \\\\ \\'x\\'", "days": ["a\\b", "it's"]})
    ],
    "types": [("set_alarm", {"label": "n", "level": 1.5, "on": True, "none": None, "hour": -3})],
    "texts like values": [("set_alarm", {"label": "null", "zip": "00700", "none": "5"})],
    "empty values": [("set_alarm", {"label": "", "on": False, "days": [], "place": {}})],
    "nested": [
        (
            "set_alarm",
            {
                "label": "x",
                "place": {"city": "Rome", "at": [1, {"a": None}]},
                "days": ["M", "T, W"],
            },
        )
    ],
    "marks": [("set_alarm", {"label": "a </tool_call> b </parameter> c", "hour": 1})],
    "no arguments": [("get_time", {})],
    "several": [QUOTED, ("get_time", {}), ("set_alarm", {"label": "b", "on": True})],
}
QUESTION = [{"role": "user", "content": "When is tea?"}]
THINKS = "Hm: a cup.\nYes."
END = re.compile(
    r"(<\|(im_end|eot_id|eot|call|return|observation|tool_response)\|?>|<turn\|>"
    r"|<｜end▁of▁sentence｜>)\s*\Z"
)


def read_shipped() -> dict[str, str]:
    """Every template, by name; `_training` ones mark what is learned and write the same."""
    folder = Path(trl.__file__).parent / "chat_templates"
    by_name = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.jinja")}
    return {**by_name, "llama4": processing_llama4.chat_template}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Only its rendering is used."""
    return make_tokenizer()


def message(name: str, calls: list[tuple[str, dict[str, Any]]], content: str, thought: str) -> Any:
    """An answer as the template wants it: DeepSeek's takes arguments as text."""
    as_text = name == "deepseekv3"
    functions = [
        {
            "name": called,
            "arguments": json.dumps(arguments, ensure_ascii=False) if as_text else arguments,
        }
        for called, arguments in calls
    ]
    return {
        "role": "assistant",
        "content": content,
        **({"reasoning_content": thought, "thinking": thought} if thought else {}),
        "tool_calls": [
            {"id": f"abcdefgh{number}", "type": "function", "function": function}
            for number, function in enumerate(functions)
        ],
    }


def answer(tokenizer: Any, template: str, turn: Any) -> str:
    """What a model would have to write to give this turn, without its end."""

    def render(messages: list[Any], **more: Any) -> str:
        text: str = tokenizer.apply_chat_template(
            messages, tools=TOOLS, chat_template=template, tokenize=False, **more
        )
        return text

    prompt, whole = render(QUESTION, add_generation_prompt=True), render([*QUESTION, turn])
    if whole.startswith(prompt):
        return Style.of(template).thought_opening(prompt) + END.sub("", whole[len(prompt) :])
    # deepseekv3 opens a thought that an answer in the conversation does not have
    header = prompt.removesuffix("<think>\n")
    assert whole.startswith(header)
    return END.sub("", whole[len(header) :])


def read(style: Style, pieces: Iterator[str] | list[str]) -> tuple[str, str, Any]:
    """Thought, content and calls of an answer in pieces."""
    reader = style.reader(TOOLS)
    shown = [reader.add(piece) for piece in pieces]
    shown.append(reader.end())
    functions = [call["function"] for call in reader.stream.calls]
    return (
        "".join(piece.reasoning for piece in shown),
        "".join(piece.content for piece in shown),
        [(function["name"], json.loads(function["arguments"])) for function in functions],
    )


def test_the_table_has_every_template_that_writes_calls() -> None:
    result = {
        name.removesuffix("_training")
        for name, text in read_shipped().items()
        if "tool_calls" in text
    }
    assert result == set(WRITES) | NEVER
    assert len(read_shipped()) > 70


def test_a_rendered_call_is_read_back(tokenizer: Any) -> None:
    count = 0
    for name, template in sorted(read_shipped().items()):
        writes = WRITES.get(name.removesuffix("_training"))
        if writes is None:
            continue
        style = Style.of(template)
        for case, calls in CASES.items():
            if len(calls) > 1 and SEVERAL not in writes:
                continue
            if name.endswith("_training") and case not in {"quotes", "several"}:
                continue
            for content in {"", "I look." if CONTENT in writes else ""}:
                for thought in {"", THINKS if THOUGHT in writes else ""}:
                    text = answer(tokenizer, template, message(name, calls, content, thought))
                    wanted = (thought, content, calls)
                    assert read(style, [text]) == wanted, (name, case, text)
                    count += 1
    assert count > 1000


def test_wherever_an_answer_is_cut_it_reads_the_same(tokenizer: Any) -> None:
    cuts = 0
    for name, template in sorted(read_shipped().items()):
        writes = WRITES.get(name)
        if writes is None:
            continue
        calls = CASES["several"] if SEVERAL in writes else [QUOTED]
        content = "I look." if CONTENT in writes else ""
        thought = THINKS if THOUGHT in writes else ""
        text = answer(tokenizer, template, message(name, calls, content, thought))
        assert read(Style.of(template), list(text)) == (thought, content, calls)
        for at in range(len(text)):
            assert read(Style.of(template), [text[:at], text[at:]]) == (thought, content, calls)
            cuts += 1
    assert cuts > 5000


# Names whose official templates leave out the content of an answer that calls tools, or all calls
# but the first.
WITHOUT_CONTENT = {"llama3", "llama3.1", "llama3.2", "mistral", "ministral", "mistral_small"}


def test_a_call_under_a_named_template_is_read_back(tokenizer: Any) -> None:
    """What the model learns to write under `template: NAME` is read by its server."""
    count = 0
    for name in NAMES:
        if name == AUTO:
            continue
        template = templates.load(resolve({"template": name}), tokenizer)
        style = Style.of(template.jinja)
        for case, calls in CASES.items():
            content = "" if name in WITHOUT_CONTENT else "I look."
            turn = message(name, calls, content, "")
            if len(calls) > 1 and name.startswith("llama3"):
                continue
            prompt = template.render(QUESTION, TOOLS, add_generation_prompt=True)
            whole = template.render([*QUESTION, turn], TOOLS)
            assert whole.startswith(prompt), (name, case)
            text = whole[len(prompt) :].rstrip("\n").removesuffix("<|im_end|>")
            thought, answer, calls_read = read(style, [style.thought_opening(prompt) + text])
            assert (thought, answer.strip(), calls_read) == ("", content, calls), (name, case, text)
            count += 1
    assert count > 500


# As Mistral's: raises for an id of another length.
STRICT = """{%- for m in messages %}{{ m.content }}
{%- for call in m.tool_calls or [] %}
{%- if call.id | length != 9 %}{{ raise_exception("nine letters and digits") }}{% endif %}
{{- call.function.name }} {{ call.function.arguments | tojson }} {{ call.id }};
{%- endfor %}
{%- if m.role == "tool" %} {{ m.tool_call_id }}
{%- if m.tool_call_id | length != 9 %}{{ raise_exception("nine") }}{% endif %}{% endif %}
{%- if m.role == "assistant" %}<|im_end|>{% endif %}{{ "|" }}{% endfor %}"""
# As Kimi K2's: the id is where the name stands.
BY_ID = """{%- for m in messages %}{{ m.content }}
{%- for call in m.tool_calls or [] %}{{ call.id }} {{ call.function.arguments | tojson }};
{%- endfor %}
{%- if m.role == "tool" %} {{ m.tool_call_id }}{% endif %}
{%- if m.role == "assistant" %}<|im_end|>{% endif %}{{ "|" }}{% endfor %}"""


def test_calls_get_ids_where_a_template_needs_them() -> None:
    """Rows of most data sets and the page's chat have none; those of other servers do not fit."""
    calls = [{"type": "function", "function": {"name": n, "arguments": {}}} for n in "ab"]
    named = [{"id": f"call_{call['function']['name']}", **call} for call in calls]
    own = [{"id": f"abcdefgh{n}", **call} for n, call in enumerate(calls)]
    cases = [
        (STRICT, calls, ("", ""), "a {} call00000;b {} call00001;", "call00000", "call00001"),
        (
            STRICT,
            named,
            ("call_b", "call_a"),
            "a {} call00000;b {} call00001;",
            "call00001",
            "call00000",
        ),
        (
            STRICT,
            own,
            ("abcdefgh0", ""),
            "a {} abcdefgh0;b {} abcdefgh1;",
            "abcdefgh0",
            "abcdefgh1",
        ),
        (
            BY_ID,
            calls,
            ("", ""),
            "functions.a:0 {};functions.b:1 {};",
            "functions.a:0",
            "functions.b:1",
        ),
        (
            BY_ID,
            named,
            ("call_b", "call_a"),
            "functions.a:0 {};functions.b:1 {};",
            "functions.b:1",
            "functions.a:0",
        ),
    ]
    for jinja, call_id, answered, written, first, second in cases:
        template = templates.load(Arguments(), make_tokenizer(template=jinja))
        assert template.knows_calls
        turn = {"role": "assistant", "content": "", "tool_calls": call_id}
        results = [
            {"role": "tool", "content": text, **({"tool_call_id": id} if id else {})}
            for text, id in zip(("noon", "set"), answered, strict=True)
        ]
        text = template.render([{"role": "user", "content": "Q"}, turn, *results])
        assert text == f"Q|{written}<|im_end|>|noon {first}|set {second}|"
