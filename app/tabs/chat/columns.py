"""The two columns of the Chat tab: how a conversation is shown in Gradio's Chatbot.

Gradio 6.31 writes every text of a Chatbot into the page as HTML, also without Markdown: <b> and
&amp; are obeyed, <script> vanishes. Only in a Markdown code block does a text stand as it is, with
a copy button that copies what is read; so that is how it is shown as it is (Markdown itself turns
tabs that indent into blanks there). The copy buttons of whole messages would copy the fence, too,
and are there only where Markdown is shown formatted. A text that is no part of a list loses its
indentation on the way (inspect.cleandoc): each goes as a part.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from app.i18n import Texts, t
from app.services.chat.chat_turns import Turn, split_thought
from app.services.chat.conversation import SIDES, Conversation
from app.services.runs.run_text import plain

FORMULAS = [{"left": "$$", "right": "$$", "display": True}]
COPY = ("copy", "copy_all")  # Gradio also has one that sends the chat to a web site
FENCE = "`"


def draw(texts: Texts) -> dict[str, Any]:
    """Draw both columns, empty; the base's is hidden until it is asked for."""
    return {side: _draw_column(texts, side) for side in SIDES}


def _draw_column(texts: Texts, side: str) -> Any:
    column = gr.Chatbot(
        label=t(f"chat.column_{side}", name=""),
        placeholder=t("chat.empty") if side == "tuned" else None,
        visible=side == "tuned",
        height="100%",
        layout="panel",
        elem_id=f"chat-{side}",
        sanitize_html=True,
        **_look(as_it_is=True),
    )
    return texts.add(column, placeholder="chat.empty") if side == "tuned" else column


def _look(*, as_it_is: bool) -> dict[str, Any]:
    return {
        "latex_delimiters": [] if as_it_is else FORMULAS,
        "buttons": [] if as_it_is else list(COPY),
        "elem_classes": ["as-it-is"] if as_it_is else [],
    }


def redraw(conversation: Conversation, as_it_is: bool, lang: str) -> list[Any]:
    """Updates of both columns in another look or language."""
    return [
        gr.update(value=value, **_look(as_it_is=as_it_is))
        for value in show(conversation, as_it_is, lang)
    ]


def show(
    conversation: Conversation, as_it_is: bool, lang: str, pending: Mapping[str, str] | None = None
) -> list[list[Turn]]:
    """The values of both columns.

    pending  what goes on instead of an answer, by column: it stands where the answer will
    """
    return [_show(conversation.column(s), as_it_is, lang, (pending or {}).get(s)) for s in SIDES]


def _show(turns: Sequence[Turn], as_it_is: bool, lang: str, pending: str | None) -> list[Turn]:
    if pending is None:
        return [message for turn in turns for message in _messages(turn, as_it_is, lang)]
    begun = turns[:-1] if turns and not turns[-1]["content"] else turns
    return [*_show(begun, as_it_is, lang, None), _wait(pending)]


def _wait(words: str) -> Turn:
    """A message in the place of an answer, with a sign that turns."""
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": ""}],
        "metadata": {"title": plain(words), "status": "pending"},
    }


def turn_at(turns: Sequence[Turn], place: int) -> int:
    """The turn that the message at this place of a column belongs to."""
    shown = 0
    for number, turn in enumerate(turns):
        shown += len(_messages(turn, True, ""))
        if place < shown:
            return number
    return max(len(turns) - 1, 0)


def _messages(turn: Turn, as_it_is: bool, lang: str) -> list[Turn]:
    """One turn as Gradio takes it: a thought is a message of its own, folded until it is
    pressed."""
    role, text = turn["role"], turn["content"]
    if role == "tool":
        return [_message("user", text, as_it_is, t("chat.role_observation", lang))]
    if role == "user":
        return [_message(role, text, as_it_is)]
    thought, answer = split_thought(text)
    if not thought:
        return [_message(role, answer, as_it_is)]
    title = t("chat.thought" if answer else "chat.thinking", lang)
    folded = {**_message(role, thought, as_it_is, title)}
    folded["metadata"]["status"] = "done"  # Gradio unfolds any other
    return [folded, _message(role, answer, as_it_is)] if answer else [folded]


def _message(role: str, text: str, as_it_is: bool, title: str = "") -> Turn:
    part = {"type": "text", "text": fence(text) if as_it_is and text else text}
    return {"role": role, "content": [part], "metadata": {"title": title} if title else {}}


def fence(text: str) -> str:
    """A text as a Markdown code block, which no run of backticks inside can end."""
    longest = max(map(len, re.findall(f"{FENCE}+", text)), default=0)
    bar = FENCE * max(3, longest + 1)
    return f"{bar}\n{text}\n{bar}"
