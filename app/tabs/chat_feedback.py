"""Thumbs and choices in the Chat tab, kept as rows of a data set of the person's choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.i18n import Texts, t
from app.services import chat_turns, feedback, row_html
from backend.contract.problems import Problem, TuneboardError, UsageError

KINDS = [(f"keep.kind.{kind}", kind) for kind in feedback.KINDS]
QUIET = {"show_progress": "hidden", "api_visibility": "private"}

History = list[dict[str, Any]]
Parts = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What the tab holds besides the conversations."""

    lang: str
    name: str
    kind: str
    system: str
    tools: str


def draw_choice(texts: Texts) -> Parts:
    """The buttons under two answers; hidden until both columns are shown."""
    with gr.Row(visible=False, elem_classes="buttons") as row:
        buttons = {
            side: texts.make(
                gr.Button, {"value": f"keep.{side}"}, size="sm", elem_id=f"keep-{side}"
            )
            for side in ("tuned", "base")
        }
    return {"choice": row, **buttons}


def draw_set(texts: Texts) -> Parts:
    """Which set, and what kind of rows; below it what was kept last."""
    parts: Parts = {}
    with texts.make(gr.Accordion, {"label": "keep.title"}, open=False, elem_id="keep"):
        parts["name"] = texts.make(
            gr.Textbox,
            {"label": "keep.name", "info": "keep.name_help"},
            value="",
            max_lines=1,
            elem_id="keep-name",
        )
        parts["kind"] = texts.make(
            gr.Dropdown,
            {"label": "keep.kind", "info": "keep.kind_help", "choices": KINDS},
            value="kto",
            filterable=False,
            elem_id="keep-kind",
        )
    parts["note"] = gr.Markdown(elem_id="keep-note", elem_classes="seen")
    return parts


def wire(parts: Parts, chat: Parts, lang: Any) -> None:
    """Wire thumbs and choices; `chat`: the tab's columns, system prompt and tools."""
    setting = [lang, parts["name"], parts["kind"], chat["system"], chat["tools"]]
    columns = [chat["tuned"], chat["base"]]

    def thumb(event: gr.LikeData, *given: Any) -> str:
        held = Setting(*given[:5])
        return _told(held, lambda: _judged(held, given[5], event))

    for column in columns:
        column.like(thumb, [*setting, column], parts["note"], **QUIET)

    def choose(better: int, given: Sequence[Any]) -> str:
        held = Setting(*given[:5])
        histories = [history or [] for history in given[5:]]
        return _told(held, lambda: _preferred(held, histories[better], histories[1 - better]))

    for better, side in enumerate(("tuned", "base")):
        parts[side].click(
            lambda *given, better=better: choose(better, given),
            [*setting, *columns],
            parts["note"],
            **QUIET,
        )


def _judged(held: Setting, history: History, event: gr.LikeData) -> feedback.Kept:
    """One answer of a column, up or down. Raises TuneboardError."""
    if held.kind == "preference":
        raise UsageError(Problem(code="feedback_choose"))
    if held.kind == "sft" and event.liked is not True:
        raise UsageError(Problem(code="feedback_not_liked"))
    index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
    messages = chat_turns.messages(history[: int(index) + 1], held.system)
    tools = chat_turns.tools(held.tools)
    row = feedback.answered(messages, tools)
    if held.kind == "kto":
        row = feedback.judged(messages, tools, event.liked is True)
    return feedback.keep(held.name, held.kind, row)


def _preferred(held: Setting, better: History, worse: History) -> feedback.Kept:
    """The last answers of two columns to the same conversation. Raises TuneboardError."""
    sides = [chat_turns.messages(history, held.system) for history in (better, worse)]
    answers = [side[-1] for side in sides if side and side[-1]["role"] == "assistant"]
    if len(answers) < len(sides):
        raise UsageError(Problem(code="feedback_no_answers"))
    if sides[0][:-1] != sides[1][:-1]:
        raise UsageError(Problem(code="feedback_apart"))
    if answers[0] == answers[1]:
        raise UsageError(Problem(code="feedback_same"))
    row = feedback.preferred(sides[0][:-1], chat_turns.tools(held.tools), *answers)
    return feedback.keep(held.name, "preference", row)


def _told(held: Setting, work: Any) -> str:
    """What was kept, or why nothing was, as Markdown."""
    try:
        kept = work()
    except TuneboardError as error:
        return "".join(row_html.note(problem.text(held.lang)) for problem in error.problems)
    key = "keep.replaced" if kept.replaced else "keep.kept"
    return row_html.note(t(key, held.lang, row=kept.number, name=held.name.strip()))
