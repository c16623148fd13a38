"""Rows of a data set as trees of elements: as they are, as a conversation, as masked tokens.

A tree is data: the browser builds its elements and sets every text as text (app/browser/tree.js),
so that nothing in a row becomes markup. The kind of a token shows in its shape and its title, not
only in its colour. Style classes: app/browser/seen.css.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.i18n import t
from backend.contract.texts.numbers import format_number, localize
from backend.datafiles import values
from backend.datafiles.formats import Conversation
from backend.datafiles.turns import find_thought

MOST = 3000  # tokens that are shown of each side
LONG = 20_000  # characters that are shown of a text
SIDES = (("chosen_", "seen.chosen"), ("rejected_", "seen.rejected"))
# Characters that are invisible or change the direction of the text around them.
HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
TURNING = re.compile("([\u200e\u2066\u2069])")  # of our own texts in languages from right to left
THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)

Line = Mapping[str, Any]
Message = Mapping[str, Any]
Element = dict[str, Any]
Node = str | Element


def element(kind: str, *inside: Node, **marks: str | bool) -> Element:
    """An element: its tag and classes ("div.seen-row"), what is inside, a title or open=True."""
    return {"kind": kind, "inside": [*inside], "marks": marks}


def show_hidden(text: str) -> str:
    """A text whose invisible characters are shown by their number."""
    text = HIDDEN.sub(lambda match: f"\u27e8U+{ord(match[0]):04X}\u27e9", text)
    return text.encode("utf-8", "replace").decode()


def _show_text(text: str) -> str:
    """A text of ours with what it names of the data, whose invisible characters are shown."""
    parts = TURNING.split(text)
    return "".join(part if TURNING.fullmatch(part) else show_hidden(part) for part in parts)


def note(text: str) -> Element:
    """A notice above the rows."""
    return element("div.seen-note", f"ⓘ {_show_text(text)}")


def wrong(text: str) -> Element:
    """A problem, with how to solve it."""
    return element("div.seen-note.seen-wrong", f"⚠ {_show_text(text)}")


def points(lines: Iterable[str]) -> Element:
    """Sentences as a list."""
    return element("ul", *(element("li", _show_text(line)) for line in lines))


def raw(rows: Iterable[tuple[int, Any]], lang: str) -> list[Element]:
    """The rows as they are in the file."""
    texts = ((number, values.dumps(row, indent=2, default=str)) for number, row in rows)
    return [_row(number, [element("pre.seen-raw", _short(text))], lang) for number, text in texts]


def columns(rows: Iterable[tuple[int, Any]], lang: str) -> list[Element]:
    """The rows of a table: the name of each column, and its cell as text."""
    return [_row(number, [_list_cells(row)], lang) for number, row in rows]


def _list_cells(row: Mapping[str, Any]) -> Element:
    parts: list[Node] = []
    for name, cell in row.items():
        text = cell if isinstance(cell, str) else values.dumps(cell, indent=2, default=str)
        is_empty = cell is None or text == ""
        shown = element("dd.seen-empty", "∅") if is_empty else element("dd", _short(text))
        parts += [element("dt", show_hidden(str(name))), shown]
    return element("dl.seen-columns", *parts)


def place(row: int, line: int, lang: str) -> str:
    """The number of a row, with its line in the file where that differs."""
    shown, at = format_number(row), format_number(line)
    return t("data.check.row", lang, row=shown, line=at) if line != row else localize(shown, lang)


def refusal(number: int, reason: str, lang: str) -> Element:
    """A row that training leaves out, with the reason."""
    return _row(number, [wrong(reason)], lang)


def conversation(number: int, content: Conversation, lang: str) -> Element:
    """A row as a conversation."""
    parts = []
    if content.tools:
        tools = values.dumps(content.tools, indent=2, default=str)
        summary = element("summary", t("seen.tools", lang))
        parts.append(element("details.seen-tools", summary, element("pre", _short(tools))))
    parts += [_bubble(message, lang) for message in content.messages]
    if content.text:
        parts.append(element("div.bubble.bubble-text", element("div", _short(content.text))))
    if content.chosen and content.rejected:
        sides = zip(SIDES, (content.chosen, content.rejected), strict=True)
        parts.append(
            _beside([(key, [_bubble(message, lang)]) for (_, key), message in sides], lang)
        )
    if content.label is not None:
        parts.append(_verdict(content.label, lang))
    bubbles = element("div.bubbles", *parts)
    return _row(number, [element(_tone(content.label is not False), bubbles)], lang)


def legend(lang: str) -> Element:
    """The legend of the styles of tokens."""
    keys = (("tk.on", "learned"), ("tk", "not_learned"), ("tk.sp", "special"))
    marks = [element(f"span.{look}", t(f"seen.{key}", lang)) for look, key in keys]
    return element("div.seen-legend", *marks, element("span", t("seen.ids", lang)))


def token_row(line: Line, special: frozenset[int], lang: str) -> Element:
    """The tokens of an example (a line of the child); of a preference both sides."""
    parts = []
    if "pieces" in line:
        tone = _tone(line.get("desirable") is not False)
        parts.append(element(tone, *_tokens(line["pieces"], special, lang)))
    sides = [
        (key, _tokens(line[f"{s}pieces"], special, lang))
        for s, key in SIDES
        if f"{s}pieces" in line
    ]
    if sides:
        parts.append(_beside(sides, lang))
    if "desirable" in line:
        parts.append(_verdict(line["desirable"], lang))
    if "kl_pieces" in line:
        pieces = _tokens(line["kl_pieces"], special, lang)
        parts.append(element("details", element("summary", t("seen.kl", lang)), *pieces))
    if line.get("reference"):
        text = show_hidden(str(line["reference"]))
        parts.append(element("div.seen-small", f"{t('seen.reference', lang)}: {text}"))
    if line.get("cut"):
        parts.append(element("div.seen-small", f"✂ {t('seen.cut', lang)}"))
    if "packed" in line:
        rows = ", ".join(str(number + 1) for number in line["rows"])
        return _box(t("seen.packed", lang, rows=rows), parts)
    return _row(line["row"], parts, lang)


def _tokens(pieces: Sequence[Any], special: frozenset[int], lang: str) -> list[Element]:
    words = {True: t("seen.learned", lang), False: t("seen.not_learned", lang)}
    tokens: list[Node] = [_token(piece, special, words) for piece in pieces[:MOST]]
    count = sum(len(ids) for _, ids, _ in pieces)
    learned = sum(len(ids) for _, ids, on in pieces if on)
    more = len(pieces) - MOST
    if more > 0:
        tokens += [" ", element("b", t("seen.more", lang, count=more))]
    summary = t("seen.count", lang, count=count, learned=learned)
    return [element("div.tokens", *tokens), element("div.seen-small", summary)]


def _token(piece: Sequence[Any], special: frozenset[int], words: Mapping[bool, str]) -> Element:
    text, ids, learned = piece
    look = "span.tk.on" if learned else "span.tk"
    if not special.isdisjoint(ids):
        look += ".sp"
    title = f"{', '.join(map(str, ids))} · {words[bool(learned)]}"
    first, *rest = show_hidden(text).replace("\t", "⇥\t").split("\n")
    shown: list[Node] = [first]
    for line in rest:
        shown += [element("i.nl", "↵"), f"\n{line}"]
    return element(look, *(shown if text else ["∅"]), title=title)


def _thought_block(text: str, lang: str) -> Element:
    summary = element("summary", t("seen.thinking", lang))
    return element("details.seen-thought", summary, *_paragraph(text), open=True)


def _bubble(message: Message, lang: str) -> Element:
    role = str(message["role"])
    beside = find_thought(message)
    parts = [_thought_block(beside, lang)] if beside else []
    content = str(message["content"])
    at = 0
    for match in THOUGHT.finditer(content):
        parts += _paragraph(content[at : match.start()])
        parts.append(_thought_block(match[1], lang))
        at = match.end()
    parts += _paragraph(content[at:])
    for call in message.get("tool_calls") or []:
        arguments = values.dumps(call["function"]["arguments"], default=str)
        name = element("b", show_hidden(str(call["function"]["name"])))
        parts.append(element("div.seen-call", "⚒ ", name, f" {_short(arguments)}"))
    title = t(f"seen.role.{role}", lang)
    if message.get("train") is False:
        title += f" · {t('seen.not_learned', lang)}"
    return element(f"div.bubble.bubble-{role}", element("div.role", title), *parts)


def _paragraph(text: str) -> list[Element]:
    return [element("div", _short(text.strip()))] if text.strip() else []


def _short(text: str) -> str:
    rest = len(text) - LONG
    return show_hidden(text) if rest <= 0 else f"{show_hidden(text[:LONG])} … (+{rest:,})"


def _beside(sides: Sequence[tuple[str, list[Element]]], lang: str) -> Element:
    parts = [
        element(_tone(key != "seen.rejected"), element("div.role", t(key, lang)), *inside)
        for key, inside in sides
    ]
    return element("div.seen-sides", *parts)


def _tone(good: bool) -> str:
    """The kind of a box: what is learned as the worse answer is not shown in green."""
    return "div" if good else "div.seen-rejected"


def _verdict(good: bool, lang: str) -> Element:
    key, sign = ("seen.good", "✓") if good else ("seen.bad", "✗")
    return element("div.seen-small", f"{sign} {t(key, lang)}")


def _row(number: int, inside: Sequence[Element], lang: str) -> Element:
    return _box(t("seen.row", lang, row=format_number(number + 1)), inside)


def _box(title: str, inside: Sequence[Element]) -> Element:
    return element("div.seen-row", element("div.seen-head", _show_text(title)), *inside)
