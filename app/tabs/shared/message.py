"""A box for what the page has to say: hidden until then, its label for screen readers only."""

from typing import Any

import gradio as gr

from app.i18n import Texts


def note(texts: Texts, elem_id: str, **look: Any) -> Any:
    """A box for a word on what was done."""
    return _box(texts, "label.note", elem_id, **look)


def problem(texts: Texts, elem_id: str, *classes: str) -> Any:
    """A box for what is wrong; `classes` are further ones of its style."""
    look = {"lines": 1, "max_lines": 6, "elem_classes": ["problems", *classes]}
    return _box(texts, "label.problem", elem_id, **look)


def start_problems(texts: Texts, elem_id: str) -> Any:
    """The box above a command for what keeps it from being started; its label is seen. It is no
    answer to anything that was done, so it is not red."""
    return texts.make(
        gr.Textbox,
        {"label": "start.problems"},
        visible=False,
        interactive=False,
        lines=1,
        max_lines=8,
        elem_id=elem_id,
        elem_classes=["problems", "missing"],
    )


def _box(texts: Texts, label: str, elem_id: str, **look: Any) -> Any:
    return texts.make(
        gr.Textbox,
        {"label": label},
        visible=False,
        show_label=False,
        interactive=False,
        elem_id=elem_id,
        **look,
    )
