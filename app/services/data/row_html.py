"""Rows of a data set as HTML: as they are, as a conversation, as tokens with the loss mask.

All text from the data is escaped, and the page's Markdown component sanitises it once more. It has
no line ends, so nothing in it is read as Markdown. The kind of a token shows in its shape and its
title, not only in its colour. Style classes: app/style.css under "rows of a data set".
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.i18n import t
from backend.datafiles import values
from backend.datafiles.formats import Conversation
from backend.datafiles.turns import find_thought

LINE_END = "&#10;"
MOST = 3000  # tokens that are shown of each side
LONG = 20_000  # characters that are shown of a text
SIDES = (("chosen_", "seen.chosen"), ("rejected_", "seen.rejected"))
MARKS = str.maketrans({"$": "&#36;", "\n": LINE_END})  # marks of formulas and of blocks in Markdown
# Characters that are invisible or change the direction of the text around them.
HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)

Line = Mapping[str, Any]
Message = Mapping[str, Any]


def escape(text: str) -> str:
    """A text escaped for the page. Invisible characters are shown by their number."""
    text = HIDDEN.sub(lambda match: f"\u27e8U+{ord(match[0]):04X}\u27e9", text)
    text = text.encode("utf-8", "replace").decode()
    return html.escape(text).translate(MARKS)


def note(text: str) -> str:
    """A notice above the rows."""
    return f'<div class="seen-note">ⓘ {escape(text)}</div>'


def raw(rows: Iterable[tuple[int, Any]], lang: str) -> str:
    """The rows as they are in the file."""
    parts = []
    for number, row in rows:
        text = values.dumps(row, indent=2, default=str)
        parts.append(_row(number, f'<pre class="seen-raw">{_short(text)}</pre>', lang))
    return "".join(parts)


def place(row: int, line: int, lang: str) -> str:
    """The number of a row, with its line in the file where that differs."""
    shown = f"{row:,}"
    return t("data.check.row", lang, row=shown, line=f"{line:,}") if line != row else shown


def refusal(number: int, reason: str, lang: str) -> str:
    """A row that training leaves out, with the reason."""
    return _row(number, f'<div class="seen-note seen-wrong">⚠ {escape(reason)}</div>', lang)


def conversation(number: int, content: Conversation, lang: str) -> str:
    """A row as a conversation."""
    parts = []
    if content.tools:
        tools = values.dumps(content.tools, indent=2, default=str)
        parts.append(
            f'<details class="seen-tools"><summary>{t("seen.tools", lang)}</summary>'
            f"<pre>{_short(tools)}</pre></details>"
        )
    parts += [_bubble(message, lang) for message in content.messages]
    if content.text:
        parts.append(f'<div class="bubble bubble-text"><div>{_short(content.text)}</div></div>')
    if content.chosen and content.rejected:
        sides = zip(SIDES, (content.chosen, content.rejected), strict=True)
        parts.append(_beside([(key, _bubble(message, lang)) for (_, key), message in sides], lang))
    if content.label is not None:
        parts.append(_verdict(content.label, lang))
    bubbles = f'<div class="bubbles">{"".join(parts)}</div>'
    return _row(number, f"<div{_tone(content.label is not False)}>{bubbles}</div>", lang)


def legend(lang: str) -> str:
    """The legend of the styles of tokens."""
    keys = (("tk on", "learned"), ("tk", "not_learned"), ("tk sp", "special"))
    marks = [f'<span class="{look}">{t(f"seen.{key}", lang)}</span>' for look, key in keys]
    return f'<div class="seen-legend">{" ".join(marks)}<span>{t("seen.ids", lang)}</span></div>'


def token_row(line: Line, special: frozenset[int], lang: str) -> str:
    """The tokens of an example (a line of the child); of a preference both sides."""
    parts = []
    if "pieces" in line:
        tone = _tone(line.get("desirable") is not False)
        parts.append(f"<div{tone}>{_tokens(line['pieces'], special, lang)}</div>")
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
        parts.append(f"<details><summary>{t('seen.kl', lang)}</summary>{pieces}</details>")
    if line.get("reference"):
        text = escape(str(line["reference"]))
        parts.append(f'<div class="seen-small">{t("seen.reference", lang)}: {text}</div>')
    if line.get("cut"):
        parts.append(f'<div class="seen-small">✂ {t("seen.cut", lang)}</div>')
    if "packed" in line:
        rows = ", ".join(str(number + 1) for number in line["rows"])
        return _box(t("seen.packed", lang, rows=rows), "".join(parts))
    return _row(line["row"], "".join(parts), lang)


def _tokens(pieces: Sequence[Any], special: frozenset[int], lang: str) -> str:
    words = {True: t("seen.learned", lang), False: t("seen.not_learned", lang)}
    tokens = [_token(piece, special, words) for piece in pieces[:MOST]]
    count = sum(len(ids) for _, ids, _ in pieces)
    learned = sum(len(ids) for _, ids, on in pieces if on)
    more = len(pieces) - MOST
    rest = f" <b>{t('seen.more', lang, count=more)}</b>" if more > 0 else ""
    summary = t("seen.count", lang, count=count, learned=learned)
    return (
        f'<div class="tokens">{"".join(tokens)}{rest}</div><div class="seen-small">{summary}</div>'
    )


def _token(piece: Sequence[Any], special: frozenset[int], words: Mapping[bool, str]) -> str:
    text, ids, learned = piece
    look = "tk on" if learned else "tk"
    if not special.isdisjoint(ids):
        look += " sp"
    title = f"{', '.join(map(str, ids))} · {words[bool(learned)]}"
    shown = escape(text).replace(LINE_END, '<i class="nl">↵</i>' + LINE_END).replace("\t", "⇥\t")
    return f'<span class="{look}" title="{html.escape(title)}">{shown or "∅"}</span>'


def _thought_block(text: str, lang: str) -> str:
    return (
        f'<details open class="seen-thought"><summary>{t("seen.thinking", lang)}</summary>'
        f"{_paragraph(text)}</details>"
    )


def _bubble(message: Message, lang: str) -> str:
    role = str(message["role"])
    beside = find_thought(message)
    parts = [_thought_block(beside, lang)] if beside else []
    content = str(message["content"])
    at = 0
    for match in THOUGHT.finditer(content):
        parts.append(_paragraph(content[at : match.start()]))
        parts.append(_thought_block(match[1], lang))
        at = match.end()
    parts.append(_paragraph(content[at:]))
    for call in message.get("tool_calls") or []:
        arguments = values.dumps(call["function"]["arguments"], default=str)
        name = escape(str(call["function"]["name"]))
        parts.append(f'<div class="seen-call">⚒ <b>{name}</b> {_short(arguments)}</div>')
    name = t(f"seen.role.{role}", lang)
    if message.get("train") is False:
        name += f" · {t('seen.not_learned', lang)}"
    return f'<div class="bubble bubble-{role}"><div class="role">{name}</div>{"".join(parts)}</div>'


def _paragraph(text: str) -> str:
    return f"<div>{_short(text.strip())}</div>" if text.strip() else ""


def _short(text: str) -> str:
    rest = len(text) - LONG
    return escape(text) if rest <= 0 else f"{escape(text[:LONG])} … (+{rest:,})"


def _beside(sides: Sequence[tuple[str, str]], lang: str) -> str:
    parts = [
        f'<div{_tone(key != "seen.rejected")}><div class="role">{t(key, lang)}</div>{part}</div>'
        for key, part in sides
    ]
    return f'<div class="seen-sides">{"".join(parts)}</div>'


def _tone(good: bool) -> str:
    """The class of what is learned as the worse answer; else none, which is shown in green."""
    return "" if good else ' class="seen-rejected"'


def _verdict(good: bool, lang: str) -> str:
    key, sign = ("seen.good", "✓") if good else ("seen.bad", "✗")
    return f'<div class="seen-small">{sign} {t(key, lang)}</div>'


def _row(number: int, inside: str, lang: str) -> str:
    return _box(t("seen.row", lang, row=f"{number + 1:,}"), inside)


def _box(title: str, inside: str) -> str:
    return f'<div class="seen-row"><div class="seen-head">{escape(title)}</div>{inside}</div>'
