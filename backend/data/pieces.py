"""Write built-in chat templates, which are texts around each message or files, as Jinja.

The templates themselves are in builtin_templates.py.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

FOLDER = Path(__file__).parent / "chat_templates"
# What stands in these brackets of a file is decided once, when the template is made: a template
# of a model that does not think has no text about thoughts.
LAYOUT = Environment(
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<$",
    variable_end_string="$>",
    comment_start_string="<#",
    comment_end_string="#>",
    trim_blocks=True,
)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Texts of a template: prefix [system] (user | reply answer)*; `reply` asks for an answer.

    In a text {} is the content, @BOS@ and @END@ the tokens that begin a text and end an answer.

    inside    the system text stands in the first user message instead of before it
    trim      blanks around the texts of questions and answers are not written
    end       what ends an answer; "" is the tokenizer's end token
    last      the end is written after the last answer only (the next header ends the others)
    stops     further tokens that end an answer
    default   the system text where a conversation has none
    bare      what stands in place of the system text where there is none
    """

    user: str
    reply: str = ""
    answer: str
    system: str = "{}\n\n"
    prefix: str = ""
    inside: bool = False
    trim: bool = False
    end: str = ""
    last: bool = False
    stops: tuple[str, ...] = ()
    default: str = ""
    bare: str = ""


@dataclass(frozen=True, kw_only=True)
class File:
    """A template of a model family with tools or thoughts: chat_templates/<file>.jinja.

    It reads begin_token and end_token, default_system (`default`), and its own `settings`. `end`,
    `stops` and `default` are as in Pieces.
    """

    file: str
    end: str = ""
    stops: tuple[str, ...] = ()
    default: str = ""
    settings: tuple[tuple[str, str | bool], ...] = ()


def jinja(template: Pieces | File, begin: str, end: str) -> str:
    """The template as Jinja, with these tokens written in."""
    if isinstance(template, Pieces):
        return _from_pieces(template, begin, end)
    values = {
        "begin_token": begin,
        "end_token": end,
        "default_system": template.default,
        **dict(template.settings),
    }
    path = FOLDER / f"{template.file}.jinja"
    body = LAYOUT.from_string(path.read_text(encoding="utf-8")).render(values)
    head = "".join(
        f"{{%- set {name} = {json.dumps(value, ensure_ascii=False)} -%}}\n"
        for name, value in values.items()
        if re.search(rf"\b{name}\b", body)
    )
    return head + body


def _from_pieces(pieces: Pieces, begin: str, end: str) -> str:
    def quote(text: str) -> str:
        return json.dumps(text.replace("@BOS@", begin).replace("@END@", end), ensure_ascii=False)

    def wrap(piece: str, content: str) -> str:
        before, after = piece.split("{}")
        return " + ".join([quote(before), content, quote(after)])

    content = "(content | trim)" if pieces.trim else "content"
    system = wrap(pieces.system, "system")
    user = wrap(pieces.user, content)
    if pieces.inside:
        user = wrap(pieces.user, f"(({system}) if loop.first and system else '') + {content}")
    answer = wrap(pieces.answer, content)
    if pieces.last:
        open_answer = wrap(pieces.answer.replace("@END@", ""), content)
        answer = f"(({answer}) if loop.last else ({open_answer}))"
    opening = f"{{{{- ({system}) if system else {quote(pieces.bare)} -}}}}"
    lines = [
        "{%- if messages[0]['role'] == 'system' -%}",
        "{%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}",
        f"{{%- else -%}}{{%- set system = {quote(pieces.default)} -%}}",
        "{%- set turns = messages -%}{%- endif -%}",
        f"{{{{- {quote(pieces.prefix)} -}}}}",
        "" if pieces.inside else opening,
        "{%- for message in turns -%}{%- set content = message['content'] -%}",
        "{%- if message['role'] == 'assistant' -%}",
        f"{{{{- {quote(pieces.reply)} + {answer} -}}}}",
        f"{{%- else -%}}{{{{- {user} -}}}}{{%- endif -%}}{{%- endfor -%}}",
        f"{{%- if add_generation_prompt -%}}{{{{- {quote(pieces.reply)} -}}}}{{%- endif -%}}",
    ]
    return "".join(lines)
