"""Tools for templates that do not know them: written into the text, in the Hermes/Qwen manner."""

import json
from typing import Any

from backend.datafiles.turns import Message

TOOLS = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def uses_tools(messages: list[Message], tools: list[dict[str, Any]] | None) -> bool:
    """Whether a conversation has tools, calls or results in it."""
    return bool(tools) or any(m["role"] == "tool" or m.get("tool_calls") for m in messages)


def in_words(
    messages: list[Message], tools: list[dict[str, Any]] | None, system: str
) -> list[Message]:
    """The conversation with tools in the system text, calls in answers and results in user turns.

    `system` is the system text where the conversation has none of its own.
    """
    written: list[Message] = []
    for message in messages:
        if message["role"] == "tool":
            text = f"<tool_response>\n{message['content']}\n</tool_response>"
            if written and written[-1].get("result"):
                text = written.pop()["content"] + "\n" + text
            written.append({"role": "user", "content": text, "result": True})
        elif message.get("tool_calls"):
            written.append({**message, "content": answer_text(message), "tool_calls": None})
        else:
            written.append(message)
    written = [{k: v for k, v in one.items() if k != "result"} for one in written]
    if not tools:
        return written
    if written and written[0]["role"] == "system":
        system = written.pop(0)["content"]
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    parts = [part for part in (system, TOOLS.format(tools=listed)) if part]
    return [{"role": "system", "content": "\n\n".join(parts)}, *written]


def answer_text(message: Message) -> str:
    """What an answer says, its tool calls written out."""
    calls = [
        f"<tool_call>\n{json.dumps(call['function'], ensure_ascii=False)}\n</tool_call>"
        for call in message.get("tool_calls") or []
    ]
    return "\n".join(part for part in [message.get("content") or "", *calls] if part)
