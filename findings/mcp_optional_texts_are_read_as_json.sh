#!/usr/bin/env bash
# mcp 2.3.0 (MCPServer, Client), arguments of tools.
# Guess: an argument that the schema calls a string reaches the tool letter by letter.
# Seen: this holds for `str`. For `str | None` the text is read as JSON first: "null" becomes None,
#   and a text that is a list or an object, such as a snippet of JSON that a model asks to be saved,
#   is refused as no valid string. Texts that are numbers or truth values are left alone.
# Output (argument, and what a tool of `str` and one of `str | None` gets):
#   '3.10'       '3.10'       '3.10'
#   'null'       'null'       None
#   '[1]'        '[1]'        refused
#   '{"a": 1}'   '{"a": 1}'   refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mcp==2.3.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import asyncio

from mcp import Client
from mcp.server.mcpserver import MCPServer

server = MCPServer("texts")


@server.tool()
def plain(text: str) -> str:
    """The text as Python writes it."""
    return repr(text)


@server.tool()
def optional(text: str | None = None) -> str:
    """The text as Python writes it."""
    return repr(text)


async def ask(text: str) -> list[str]:
    """What both tools get of a text."""
    async with Client(server) as client:
        answers = [await client.call_tool(tool, {"text": text}) for tool in ("plain", "optional")]
    return ["refused" if answer.is_error else answer.content[0].text for answer in answers]


seen = []
for text in ("3.10", "null", "[1]", '{"a": 1}'):
    row = asyncio.run(ask(text))
    seen.append(row[1])
    print(f"{text!r:<12} {row[0]:<12} {row[1]}")
    assert row[0] == repr(text), row
assert seen == ["'3.10'", "None", "refused", "refused"], seen
PYTHON
