"""Tool calls are found in an answer's text, whole or in pieces; anything else stays text."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.serving.call_forms import FORMS
from backend.serving.call_values import convert
from backend.serving.calls import Calls

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    },
    {"name": "get_time", "parameters": {}},
]
PARIS = '{"name": "weather", "arguments": {"city": "Paris"}}'
LLAMA = '{"name": "weather", "parameters": {"city": "Paris"}}'
WANTED = [("weather", {"city": "Paris"})]
BOTH = [*WANTED, ("get_time", {})]
SEP = "<｜tool▁sep｜>"

# (text, content, calls); the sources are the official templates at the commits of llama.cpp's
# models/templates and vLLM's examples where transformers and trl have none.
CALLS = [
    # Hermes 2 Pro, Qwen 2.5 and 3
    (f"<tool_call>\n{PARIS}\n</tool_call>", "", WANTED),
    (f"I will look.\n<tool_call>{PARIS}</tool_call>\n", "I will look.", WANTED),
    (f"<tool_call>{PARIS}</tool_call>\n<tool_call>{LLAMA}</tool_call>", "", [*WANTED, *WANTED]),
    (f"<tool_call>\n{PARIS}", "", WANTED),  # the end token came instead of the closing mark
    (
        '<tool_call>{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
        "",
        WANTED,
    ),
    (f"<tool_call>{PARIS}</tool_call> I wait.", "I wait.", WANTED),
    (f"One.\n\n<tool_call>{PARIS}</tool_call>\n\nTwo.", "One.\nTwo.", WANTED),
    (
        '<tool_call>{"name": "weather", "arguments": {"city": "</tool_call>"}}</tool_call>',
        "",
        [("weather", {"city": "</tool_call>"})],
    ),
    # Qwen3-Coder and 3.5; Seed-OSS writes no line breaks (llama.cpp b1933d3)
    (
        "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        "",
        [("weather", {"city": "Paris", "days": 3})],
    ),
    ("<function=get_time>\n</function>", "", [("get_time", {})]),  # small models forget the frame
    ('<function=weather>{"city": "Paris"}</function>', "", WANTED),  # Llama 3.1's custom form
    (
        "<seed:tool_call>\n<function=weather>\n<parameter=city>Paris</parameter>\n</function>\n"
        "</seed:tool_call>",
        "",
        WANTED,
    ),
    # GLM 4.5 with line breaks, 4.7 without (vLLM's glm47_moe_tool_parser)
    (
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>"
        "\n<tool_call>get_time\n</tool_call>",
        "",
        BOTH,
    ),
    (
        "<tool_call>weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>",
        "",
        WANTED,
    ),
    ('weather\n{"city": "Paris"}', "", WANTED),  # GLM-4-9B
    ('weather\n{"city": "Paris"}<|assistant|>get_time\n{}', "", BOTH),
    ('\nI look.<|assistant|>weather\n{"city": "Paris"}', "\nI look.", WANTED),
    # Mistral: v3 (vLLM 55ece00), v11 (Small 3.2), v13 (Ministral 3)
    (f'[TOOL_CALLS] [{PARIS[:-1]}, "id": "abcdef123"}}]', "", WANTED),
    ('[TOOL_CALLS]weather[CALL_ID]abcdef123[ARGS]{"city": "Paris"}', "", WANTED),
    ('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}', "", BOTH),
    ('[TOOL_CALLS]weather{"city": "Paris"}', "", WANTED),
    (f"[{PARIS}, {PARIS}]", "", [*WANTED, *WANTED]),  # without its mark, as xLAM writes it, too
    ('weather{"city": "Paris"}', "", WANTED),
    # Llama 3 (trl's llama3_1) and 4 (vLLM 0471aed)
    (LLAMA, "", WANTED),
    ('  \n{"name": "weather", "arguments": {"city": "巴黎"}}', "", [("weather", {"city": "巴黎"})]),
    ('{"name": "get_time"}', "", [("get_time", {})]),
    (f"<|python_tag|>{LLAMA}; {LLAMA}", "", [*WANTED, *WANTED]),
    ('<|python_tag|>weather.call(city="Paris")', "", WANTED),
    ('[weather(city="Paris"), get_time()]', "", BOTH),
    ('[weather(city="Paris", days="3")]', "", [("weather", {"city": "Paris", "days": 3})]),
    (f"<|python_start|>I look.<|python_end|>{LLAMA}", "I look.", WANTED),
    ('<|python_start|>[weather(city="Paris")]<|python_end|>', "", WANTED),
    # LFM2 (trl's lfm2_v2) and OLMo 3 (vLLM 2e30b47)
    ("<|tool_call_start|>[weather(city='Paris'), get_time()]<|tool_call_end|>", "", BOTH),
    ("<function_calls>\nweather(city='Paris')\nget_time()\n</function_calls>", "", BOTH),
    (
        "<|tool_call_start|>[weather(city='L\\'Aquila, (AQ)', days=3)]<|tool_call_end|>",
        "",
        [("weather", {"city": "L'Aquila, (AQ)", "days": 3})],
    ),
    # DeepSeek V3 and R1, V3.1 (llama.cpp 0374c5b), V3.2 (llama.cpp 708653d), V4
    (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function{SEP}weather\n"
        '```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜>\n'
        f"<｜tool▁call▁begin｜>function{SEP}get_time\n```json\n{{}}\n```<｜tool▁call▁end｜>"
        "<｜tool▁calls▁end｜>",
        "",
        BOTH,
    ),
    (
        f'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather{SEP}{{"city": "Paris"}}'
        f"<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time{SEP}{{}}<｜tool▁call▁end｜>"
        "<｜tool▁calls▁end｜>",
        "",
        BOTH,
    ),
    (
        "Good.\n\n<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="weather">\n'
        '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        "Good.",
        [("weather", {"city": "Paris", "days": 3})],
    ),
    (
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_time">\n</｜DSML｜invoke>\n'
        "</｜DSML｜tool_calls>",
        "",
        [("get_time", {})],
    ),
    # Kimi K2 (llama.cpp 0c3c896)
    (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
        '<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_call_begin|>'
        "functions.get_time:1<|tool_call_argument_begin|>{}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        "",
        BOTH,
    ),
    # Gemma 4 (trl's gemma4) and FunctionGemma
    ('<|tool_call>call:weather{city:<|"|>Paris<|"|>}<tool_call|>I look.', "I look.", WANTED),
    (
        "<start_function_call>call:weather{city:<escape>Paris<escape>,days:3}<end_function_call>",
        "",
        [("weather", {"city": "Paris", "days": 3})],
    ),
    # MiniMax M2 (llama.cpp a21f05a) and M1
    (
        '\n<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Paris</parameter>\n'
        '</invoke>\n<invoke name="get_time">\n</invoke>\n</minimax:tool_call>',
        "",
        BOTH,
    ),
    (f"<tool_calls>\n{PARIS}\n{PARIS}\n</tool_calls>", "", [*WANTED, *WANTED]),
    # Jamba 1.5, Hunyuan A13B (vLLM 630fe7e), Granite 3, Phi-4-mini (llama.cpp 6d7822c), Nemotron 2
    (f"<tool_calls>[{PARIS}]</tool_calls>", "", WANTED),
    (f"<|tool_call|>[{PARIS}]", "", WANTED),
    (f"<|tool_call|>{PARIS}<|/tool_call|>", "", WANTED),
    (f"functools[{PARIS}]", "", WANTED),
    (f"<TOOLCALL>[{PARIS}]</TOOLCALL>", "", WANTED),
    # Command R7B (llama.cpp 041462b) and InternLM 2 (vLLM c6991a3)
    (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": '
        '{"city": "Paris"}}\n]<|END_ACTION|>',
        "",
        WANTED,
    ),
    (f"I look.<|action_start|><|plugin|>\n{LLAMA}<|action_end|>", "I look.", WANTED),
]
TEXTS = [
    "",
    "The weather is fine.",
    "weather is a big word",
    "<tool_call>not json</tool_call>",
    '{"name": "unknown", "arguments": {}}',
    '<tool_call>{"name": "other", "arguments": {}}</tool_call>',
    "<tool_call>other\n</tool_call>",
    "<function=other>\n</function>",
    '{"city": "Paris"}',
    '{"name": "weather", "arguments": [1]}',
    '{"name": "weather", "arguments": {"city": NaN}}',
    '{"name": "weather", "arguments": {"days": 1e999}}',
    f"An example:\n```xml\n<tool_call>{PARIS}</tool_call>\n```\n",
    "[1, 2, 3]",
    "[weather('Paris')]",
    '[weather(city="Paris")',
    "[TOOL_CALLS] oh",
    "a < b and <tool",
    "Use functools.lru_cache here.",
    '<?xml version=\'1.0\'?>\n<invoke name="weather"><parameter name="city">x</parameter></invoke>',
    "<function_calls>none</function_calls>",
    "<tool_call>\n<function=weather>\n<parameter=city>\nPar",
    "<|tool_call_start|>print('hi')<|tool_call_end|>",
    '<|tool_call>call:weather{city:<|"|>Paris<tool_call|>',
    '{"name": 3}',
    "[" * 20_000,
    "<tool_call>" + '{"a":' * 20_000,
]


def calls_of(calls: Calls) -> list[dict[str, Any]]:
    """The calls of an answer that has come to its end."""
    calls.end()
    return calls.stream.calls


def read_answer(
    pieces: list[str], tools: list[dict[str, Any]] | None = TOOLS
) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """The shown text and the calls of an answer that comes in these pieces."""
    calls = Calls(tools)
    shown = "".join(calls.add(piece) for piece in pieces)
    rest = calls.end()
    calls_found = calls.stream.calls
    for call in calls_found:
        assert set(call) == {"id", "type", "function"}
        assert call["type"] == "function"
    assert len({call["id"] for call in calls_found}) == len(calls_found)
    return shown + rest, [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in calls_found
    ]


def test_calls_are_found_wherever_the_text_is_cut() -> None:
    """Every form's every cut in two, and letter by letter."""
    cuts = 0
    for text, content, wanted in CALLS:
        assert read_answer(list(text)) == (content, wanted), text
        for at in range(len(text)):
            assert read_answer([text[:at], text[at:]]) == (content, wanted), (text[:at], text[at:])
            cuts += 1
    assert cuts > 4000


def test_a_call_that_was_cut_needs_its_closing_mark() -> None:
    """GLM's and LFM2's forms are whole after every argument; max_tokens may have cut the next."""
    cut = [
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n",
        "<tool_call>get_time",
        '<minimax:tool_call>\n<invoke name="get_time">\n</invoke>\n',
    ]
    for text in cut:
        calls = Calls(TOOLS)
        assert calls.add(text) == ""
        assert calls.end(cut=True) == text
        assert calls.stream.calls == []
    calls = Calls(TOOLS)
    calls.add(f"<tool_call>{PARIS}</tool_call>\n<tool_call>weath")
    assert calls.end(cut=True) == "<tool_call>weath"
    (call,) = calls.stream.calls
    assert call["function"]["name"] == "weather"


# (text that breaks off or goes on as no call does, the arguments of its call, the content)
BROKEN = [
    ('[TOOL_CALLS]weather[ARGS]{"city": "Par', {"city": "Par"}, ""),
    (f"{PARIS} is how I would call it", {"city": "Paris"}, "is how I would call it"),
    (
        '<tool_call>{"name": "weather", "arguments": {"city": "Paris", days: 3}}</tool_call>',
        {"city": "Paris"},
        '", days: 3}}</tool_call>',
    ),
    (
        '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}',
        {"city": "Paris"},
        "",
    ),
    (
        "<tool_call><function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3",
        {"city": "Paris"},
        "days>\n3",
    ),
]


@pytest.mark.parametrize(("text", "arguments", "content"), BROKEN, ids=range(len(BROKEN)))
def test_a_call_that_breaks_off_is_closed(
    text: str, arguments: dict[str, Any], content: str
) -> None:
    """Its beginning has been told already: what comes behind is text."""
    shown, ((name, values),) = read_answer(list(text))
    assert (name, values) == ("weather", arguments)
    assert shown.strip() == content.strip()


def join_deltas(deltas: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls that a client puts together."""
    calls: list[dict[str, Any]] = []
    for delta in deltas:
        if "id" in delta:
            assert delta["index"] == len(calls)
            calls.append(
                {"id": delta["id"], "type": delta["type"], "function": dict(delta["function"])}
            )
            assert delta["function"]["arguments"] == ""
        else:
            assert delta["index"] == len(calls) - 1
            calls[-1]["function"]["arguments"] += delta["function"]["arguments"]
    return calls


def test_the_deltas_of_a_call_joined_are_the_call_and_json_wherever_it_is_cut() -> None:
    """Every form, letter by letter, and cut at every place."""
    pieces = 0
    for text, _, wanted in CALLS:
        for end in range(len(text) + 1):
            calls = Calls(TOOLS)
            deltas = []
            for letter in text[:end]:
                calls.add(letter)
                deltas += calls.stream.take()
            calls.end(cut=end < len(text))
            deltas += calls.stream.take()
            assert join_deltas(deltas) == calls.stream.calls
            for call in calls.stream.calls:
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
        told = [
            (c["function"]["name"], json.loads(c["function"]["arguments"]))
            for c in join_deltas(deltas)
        ]
        assert told == wanted, text
        assert calls.stream.is_whole
        pieces += len(deltas)
    assert pieces > 250


# (text, the deltas of arguments that its text comes in at least); the others come whole.
LIVE = [
    (f"<tool_call>\n{PARIS}\n</tool_call>", 5),
    (LLAMA, 5),
    (f"[{PARIS}, {PARIS}]", 10),
    ('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}[TOOL_CALLS]get_time[ARGS]{}', 5),
    ('weather\n{"city": "Paris"}', 5),
    (
        f'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather{SEP}{{"city": "Paris"}}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        5,
    ),
    (
        "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
        2,
    ),
    (
        "<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        2,
    ),
    (
        '<minimax:tool_call>\n<invoke name="weather">\n<parameter name="city">Paris</parameter>\n'
        '<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>',
        2,
    ),
]


@pytest.mark.parametrize(("text", "least"), LIVE, ids=range(len(LIVE)))
def test_arguments_come_as_they_are_written(text: str, least: int) -> None:
    calls = Calls(TOOLS)
    deltas: list[dict[str, Any]] = []
    for letter in text:
        calls.add(letter)
        deltas += calls.stream.take()
    assert sum("id" not in delta for delta in deltas) >= least


def test_a_call_is_told_before_the_next_begins() -> None:
    """Calls of forms that come whole, too: an agent can begin with the first."""
    calls = Calls(TOOLS)
    calls.add("<tool_call>get_time</tool_call>\n<tool_call>weather")
    (call,) = join_deltas(calls.stream.take())
    assert call["function"] == {"name": "get_time", "arguments": "{}"}


@settings(deadline=None)
@given(arguments=st.dictionaries(st.text(), JSON_VALUES, min_size=1), ascii=st.booleans())
def test_any_arguments_come_whole_letter_by_letter(arguments: dict[str, Any], ascii: bool) -> None:
    """Numbers, escapes, brackets in strings, deep nesting: what was told is never taken back."""
    text = json.dumps({"name": "weather", "arguments": arguments}, ensure_ascii=ascii)
    calls = Calls(TOOLS)
    for letter in text:
        calls.add(letter)
    assert calls.end() == ""
    (call,) = join_deltas(calls.stream.take())
    assert json.loads(call["function"]["arguments"]) == arguments


def test_a_line_break_in_a_string_is_taken() -> None:
    """Small models write it as it is, which JSON forbids; the call was text, or ended there."""
    text = '<tool_call>{"name": "weather", "arguments": {"city": "Pa\n\tris"}}</tool_call>'
    assert read_answer(list(text)) == ("", [("weather", {"city": "Pa\n\tris"})])


def test_each_form_has_its_case() -> None:
    assert len(FORMS) > 20
    assert [f.opens for f in FORMS if not any(f.opens in text for text, _, _ in CALLS)] == []


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_what_is_no_call_is_shown_to_the_letter(text: str) -> None:
    assert read_answer([text]) == (text, [])
    assert read_answer([text[at : at + 3] for at in range(0, min(len(text), 999), 3)]) == (
        text[:999],
        [],
    )


@pytest.mark.parametrize("tools", [None, []])
def test_without_tools_everything_is_text(tools: list[dict[str, Any]] | None) -> None:
    for text, _, _ in CALLS:
        assert read_answer(list(text), tools) == (text, [])


def test_ordinary_text_is_not_held_back() -> None:
    """Somebody watches the answer grow: only what may become a call waits, and blanks before it."""
    calls = Calls(TOOLS)
    assert calls.add("The ") == "The"
    assert calls.add("sky <") == " sky"
    assert calls.add("3") == " <3"
    assert calls.add(' {"name') == ' {"name'


def test_a_model_s_own_id_is_kept_and_mistral_s_are_of_nine_letters() -> None:
    """Their templates want them back so: Mistral's raise for another length, Kimi's read the name
    off the id (both in their chat_template)."""
    kimi = next(text for text, _, _ in CALLS if "functions.weather:0" in text)
    for text, wanted in (
        (kimi, "functions.weather:0"),
        ('[TOOL_CALLS]weather[CALL_ID]abcdef123[ARGS]{"city": "Paris"}', "abcdef123"),
    ):
        calls = Calls(TOOLS)
        calls.add(text)
        assert calls_of(calls)[0]["id"] == wanted
    calls = Calls(TOOLS)
    calls.add('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}')
    own = calls_of(calls)[0]["id"]
    assert len(own) == 9
    assert own.isalnum()


def test_half_a_surrogate_in_an_argument_can_be_sent() -> None:
    calls = Calls(TOOLS)
    calls.add('{"name": "weather", "arguments": {"city": "\\ud800"}}')
    (call,) = calls_of(calls)
    assert call["function"]["arguments"] == '{"city": "\\ud800"}'


@pytest.mark.parametrize(
    ("text", "schema", "wanted"),
    [
        ("75001", {"type": "string"}, "75001"),
        ("75001", {"type": "integer"}, 75001),
        ("75001", {}, 75001),
        ("3.0", {"type": "integer"}, 3),
        ("3.0", {"type": "number"}, 3.0),
        ("true", {"type": "boolean"}, True),
        ("True", {"type": "boolean"}, True),
        ("True", {"type": "string"}, "True"),
        ("null", {"type": ["string", "null"]}, None),
        ("None", {"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        ("null", {"type": "string", "nullable": True}, None),
        ("null", {"type": "string"}, "null"),
        ('{"a": 1}', {"type": "object"}, {"a": 1}),
        ('{"a": 1}', {"type": "string"}, '{"a": 1}'),
        ("['a', 'b']", {"type": "array"}, ["a", "b"]),
        ("red", {"enum": ["red", "blue"]}, "red"),
        ("2", {"enum": [1, 2]}, 2),
        ("2", {"enum": ["1", "2"]}, "2"),
        ("5", {"$ref": "#/$defs/Size"}, 5),
        ("many", {"type": "integer"}, "many"),
        ('"quoted"', {}, '"quoted"'),
        ("007", {}, "007"),
    ],
)
def test_the_schema_says_what_a_bare_text_is(text: str, schema: Any, wanted: Any) -> None:
    """Qwen3.5, GLM, Nemotron 3 and MiniMax write strings without quotes."""
    parameters = {"properties": {"x": schema}, "$defs": {"Size": {"type": "integer"}}}
    tools = [{"name": "f", "parameters": parameters}]
    calls = Calls(tools)
    calls.add(f"<tool_call><function=f><parameter=x>\n{text}\n</parameter></function></tool_call>")
    (call,) = calls_of(calls)
    assert json.loads(call["function"]["arguments"]) == {"x": wanted}
    assert type(json.loads(call["function"]["arguments"])["x"]) is type(wanted)


def test_a_text_that_is_no_value_stays_one() -> None:
    for text in ("x = 1", "1e999", "NaN", "{1: 2}", "b'x'", "(1, 2)", "9" * 5000, "[" * 1000):
        assert convert(text, []) == text
