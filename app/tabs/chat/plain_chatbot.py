"""A chat column that can show texts as they are.

Gradio's Chatbot with render_markdown off writes texts into the page as HTML all the same: <b> and
&amp; are obeyed, <script> vanishes, $$x$$ becomes a formula. Here they are escaped on their way to
the page, behind a MARK that is a comment there, and taken back on their way from it (what is
copied from the page is taken back in app.js). A text that is no part of a list loses tabs and
indentation on its way (inspect.cleandoc), in what the model is told next, too: each goes as a part.
"""

import copy
import html
from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import gradio as gr

MARK = "<!--as it is-->"  # before an escaped text; also in app.js
FORMULAS = [{"left": "$$", "right": "$$", "display": True}]  # Gradio's own default


class _AsTheyAre:
    """What is other than in gr.Chatbot."""

    render_markdown: bool

    def postprocess(self, value: Any) -> Any:
        """As gr.Chatbot; texts that the page has kept and gives back are taken, too."""
        texts = _changed(value, plain)
        texts = texts if self.render_markdown else _changed(texts, _escaped)
        return super().postprocess(texts)  # type: ignore[misc]

    def preprocess(self, payload: Any) -> Any:
        """As gr.Chatbot; each content is a list of parts."""
        return _changed(super().preprocess(payload), plain)  # type: ignore[misc]

    def get_block_name(self) -> str:
        """The page knows it as Gradio's."""
        return "chatbot"


# A class, as Gradio makes the component anew for each visitor who changes it; past the metaclass
# of its components, which would write a file with types beside this one.
PlainChatbot: Any = ABCMeta.__new__(type(gr.Chatbot), "PlainChatbot", (_AsTheyAre, gr.Chatbot), {})


def shown(turns: Any, as_it_is: bool) -> dict[str, Any]:
    """The update of a column that shows these turns as they are, or as Markdown."""
    formulas = [] if as_it_is else FORMULAS
    update: dict[str, Any] = gr.update(
        value=turns, render_markdown=not as_it_is, latex_delimiters=formulas
    )
    return update


def plain(text: str) -> str:
    """A text as it is, from one of the page."""
    return html.unescape(text.removeprefix(MARK)) if text.startswith(MARK) else text


def _escaped(text: str) -> str:
    return MARK + html.escape(text)


def _changed(turns: Any, change: Callable[[str], str]) -> Any:
    """A copy of the turns with each text changed, as a part of a list."""
    changed = copy.deepcopy(turns or [])
    for turn in changed:
        content = turn["content"]
        parts = content if isinstance(content, list) else [content]
        parts = [{"type": "text", "text": one} if isinstance(one, str) else one for one in parts]
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                part["text"] = change(part["text"])
        turn["content"] = parts
    return changed
