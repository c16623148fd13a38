"""python -m tests.official texts FOLDER | write | check

texts   renders the official files in FOLDER into texts.json, beside ours where they differ
write   writes docs/templates.md; check exits with 1 where it is stale

FOLDER holds the files that sources.py names: those of trl and of llama.cpp's collection as they
are, the others cut out of the file that stands in their `origin`.
"""

import copy
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils.chat_template_utils import render_jinja_template

from backend.data import builtin_templates
from tests.official import page
from tests.official.cases import WITH_TOOLS, Case
from tests.official.sources import SOURCES, Source

TEXTS = Path(__file__).parent / "texts.json"
PAGE = Path(__file__).parents[2] / "docs" / "templates.md"


def render(jinja: str, case: Case, source: Source) -> str | None:
    """What a template writes, or None where it refuses the conversation."""
    thinking = {} if case.thinking is None else {"enable_thinking": case.thinking}
    try:
        rendered: Any = render_jinja_template(
            conversations=[copy.deepcopy(case.messages)],
            tools=case.tools,
            chat_template=jinja,
            add_generation_prompt=case.prompt,
            bos_token=source.begin,
            eos_token=source.end,
            **thinking,
            **source.variables,
        )
    except Exception:  # noqa: BLE001 (whatever a template written by others ends in)
        return None
    return str(rendered[0][0])


def named_jinja(name: str, source: Source) -> str:
    """The built-in template with the tokens of this source."""
    pieces = builtin_templates.pieces(name)
    return builtin_templates.jinja(pieces, source.begin, pieces.end or source.end)


def cases(source: Source) -> dict[str, Case]:
    """The conversations of a source; DeepSeek's files list no tools, so ours are given none."""
    labeled = {label: case for group in source.groups for label, case in group.items()}
    if source.shape == "deepseek":
        return {label: case._replace(tools=None) for label, case in labeled.items()}
    return labeled


def adapt(case: Case, shape: str) -> Case:
    """The conversation in the form that an official file reads."""
    messages = copy.deepcopy(case.messages)
    if shape == "deepseek":  # arguments as JSON text, no content beside calls
        for message in messages:
            for call in message.get("tool_calls", ()):
                call["function"]["arguments"] = _json(call["function"]["arguments"])
            if message.get("tool_calls"):
                message["content"] = message["content"] or None
    if shape == "glm4":  # tools in a system message, a call's name as metadata
        tools = [{"role": "system", "tools": case.tools, "content": ""}] if case.tools else []
        messages = [*tools, *(part for message in messages for part in _glm4(message))]
        return case._replace(messages=messages, tools=None)
    if shape == "granite3":  # roles of their own for calls and results
        messages = [_granite3(message) for message in messages]
    return case._replace(messages=messages)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _glm4(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{"role": "observation", "metadata": "", "content": message["content"]}]
    calls = [call["function"] for call in message.get("tool_calls", ())]
    said = [{"role": message["role"], "metadata": "", "content": message["content"]}]
    made = [
        {"role": "assistant", "metadata": call["name"], "content": _json(call["arguments"])}
        for call in calls
    ]
    return [*(said if message["content"] or not calls else []), *made]


def _granite3(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool":
        return {"role": "tool_response", "content": message["content"]}
    if "tool_calls" in message:
        calls = [call["function"] for call in message["tool_calls"]]
        return {"role": "assistant_tool_call", "content": _json(calls)}
    return message


def load_texts() -> dict[str, dict[str, dict[str, str | None]]]:
    """Source -> "official" or one of our names -> conversation -> text (None: refused)."""
    stored = json.loads(TEXTS.read_text(encoding="utf-8"))
    return {
        key: {
            who: {k: _whole(text, one["head"]) for k, text in one[who].items()}
            for who in one
            if who != "head"
        }
        for key, one in stored.items()
    }


def _whole(text: str | list[str] | None, head: str) -> str | None:
    return head + text[0] if isinstance(text, list) else text


def _write_texts(folder: Path) -> None:
    """Render every official file, and ours in the conversations where they differ on purpose.

    What all conversations with tools begin with is stored once, as "head".
    """
    stored: dict[str, Any] = {}
    for source in SOURCES:
        official = (folder / source.file).read_text(encoding="utf-8")
        conversations = cases(source)
        differing = [label for labels in source.differs.values() for label in labels]
        texts = {
            "official": {
                label: render(official, adapt(case, source.shape), source)
                for label, case in conversations.items()
            },
            **{
                name: {
                    k: render(named_jinja(name, source), conversations[k], source)
                    for k in differing
                }
                for name in source.names
            },
        }
        tooled = [text for k, text in texts["official"].items() if k in WITH_TOOLS and text]
        head = os.path.commonprefix(tooled)  # noqa: RUF071 (characters are meant)
        stored[source.key] = {"head": head}
        for who, some in texts.items():
            stored[source.key][who] = {
                label: [text.removeprefix(head)]
                if head and text and text.startswith(head)
                else text
                for label, text in some.items()
            }
    text = json.dumps(stored, ensure_ascii=False, indent=1)
    TEXTS.write_text(text + "\n", encoding="utf-8")


def main(argv: Sequence[str]) -> int:
    """Exit code: 0 done or fresh, 1 stale, 2 not understood."""
    if len(argv) == 2 and argv[0] == "texts":
        _write_texts(Path(argv[1]))
        return 0
    if list(argv) == ["write"]:
        PAGE.write_text(page.page(), encoding="utf-8")
        return 0
    if list(argv) == ["check"]:
        return int(PAGE.read_text(encoding="utf-8") != page.page())
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
