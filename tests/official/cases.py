"""The conversations that a built-in template and the official one of its model are compared on."""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """A conversation as it is rendered; `thinking` is enable_thinking, None: nothing is passed."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    prompt: bool = False
    thinking: bool | None = None


def call(content: str, *calls: tuple[str, dict[str, Any]], thought: str = "") -> dict[str, Any]:
    """An assistant's message with tool calls, whose ids are those of the results below."""
    made = [
        {"type": "function", "id": f"call0000{number}", "function": {"name": name, "arguments": a}}
        for number, (name, a) in enumerate(calls, 1)
    ]
    reasoning = {"reasoning_content": thought} if thought else {}
    return {"role": "assistant", "content": content, "tool_calls": made, **reasoning}


def tool(name: str, description: str, *required: str, **properties: Any) -> dict[str, Any]:
    """A tool in the form of OpenAI's API."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def result(text: str, number: int = 1) -> dict[str, Any]:
    """What a tool said."""
    return {"role": "tool", "content": text, "tool_call_id": f"call0000{number}"}


SYSTEM = {"role": "system", "content": "Be brief. 简短"}
ASK = {"role": "user", "content": "Who are you?"}
TELL = {"role": "assistant", "content": 'I am "T".\nWho\'s asking? 你好'}
MORE = {"role": "user", "content": "Nobody."}
BYE = {"role": "assistant", "content": "Bye."}
BLANKS = [
    {"role": "user", "content": "  two\n\nlines \n"},
    {"role": "assistant", "content": "\n    code = 1\n"},
]
WEATHER = {"role": "user", "content": "Rome's weather?"}
CLOCK = tool("clock", "Tells the time.")
RAIN = tool(
    "rain",
    "Rain of a place",
    "city",
    city={"type": "string", "description": "name, 城市"},
    days={"type": "integer", "description": "how many"},
)
TOOLS = [RAIN, CLOCK]
ONE = call("", ("rain", {"city": "Rome", "days": 2}))
TWO = call("", ("rain", {"city": "Rome"}), ("clock", {}))
SAID = call("Let me look.", ("rain", {"city": "罗马"}))
MANY = call(
    "",
    (
        "rain",
        {
            "city": 'a "b" \\ c\nd',
            "days": 3,
            "rate": 0.5,
            "fast": True,
            "slow": None,
            "list": [1, "x", False],
            "more": {"k": {"v": "é"}},
        },
    ),
)
WET = result('{"mm": 4}')
NOON = result("12:00", 2)
DONE = {"role": "assistant", "content": "It rains."}
THINKS = {"role": "assistant", "content": "Five.", "reasoning_content": "2 + 3\nis 5."}
INLINE = {"role": "assistant", "content": "<think>\n2 + 3\n</think>\n\nFive."}
SUM = {"role": "user", "content": "2 + 3?"}

PLAIN = {
    "question": Case([ASK], prompt=True),
    "question after a system text": Case([SYSTEM, ASK], prompt=True),
    "answer": Case([ASK, TELL]),
    "second question": Case([ASK, TELL, MORE], prompt=True),
    "second question after a system text": Case([SYSTEM, ASK, TELL, MORE], prompt=True),
    "two answers after a system text": Case([SYSTEM, ASK, TELL, MORE, BYE]),
    "blanks at the ends of texts": Case(BLANKS),
}
WITH_TOOLS = {
    "tools": Case([WEATHER], TOOLS, prompt=True),
    "tools and a system text": Case([SYSTEM, WEATHER], TOOLS, prompt=True),
    "call": Case([WEATHER, ONE], TOOLS),
    "call after words": Case([WEATHER, SAID], TOOLS),
    "call with every kind of value": Case([WEATHER, MANY], TOOLS),
    "call without arguments": Case([WEATHER, call("", ("clock", {}))], TOOLS),
    "parallel calls": Case([WEATHER, TWO], TOOLS),
    "result": Case([WEATHER, ONE, WET], TOOLS, prompt=True),
    "results": Case([WEATHER, TWO, WET, NOON], TOOLS, prompt=True),
    "answer after a result": Case([WEATHER, ONE, WET, DONE], TOOLS),
    "answer after results": Case([WEATHER, TWO, WET, NOON, DONE], TOOLS),
    "two steps": Case([WEATHER, ONE, WET, call("", ("clock", {})), WET, DONE], TOOLS),
    "result in a second turn": Case([ASK, TELL, WEATHER, ONE, WET], TOOLS, prompt=True),
    "question after a call": Case([WEATHER, ONE, WET, DONE, MORE], TOOLS, prompt=True),
}
THINKING = {
    "asked to think": Case([SUM], prompt=True, thinking=True),
    "asked not to think": Case([SUM], prompt=True, thinking=False),
    "answer that is not thought": Case([SUM, BYE], thinking=False),
    "thought": Case([SUM, THINKS]),
    "thought within the text": Case([SUM, INLINE]),
    "thought that was not asked for": Case([SUM, THINKS], thinking=False),
    "thought in an earlier turn": Case([SUM, THINKS, MORE], prompt=True),
    "thought within an earlier text": Case([SUM, INLINE, MORE], prompt=True),
    "earlier and last thought": Case([SUM, THINKS, MORE, THINKS]),
    "thought before a call": Case([WEATHER, call("", ("clock", {}), thought="A clock.")], TOOLS),
    "thoughts around a call": Case(
        [WEATHER, call("", ("clock", {}), thought="A clock."), WET, THINKS], TOOLS
    ),
}
CASES = {**PLAIN, **WITH_TOOLS, **THINKING}
