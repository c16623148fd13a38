"""Thumbs and choices in the Chat tab, saved as rows of a data set of the person's choice."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from app.i18n import Texts, t
from app.problems import problem_lines
from app.services.chat import chat_turns, feedback
from app.services.chat.chat_turns import Turn
from app.services.chat.conversation import SIDES, Conversation
from app.tabs.chat.columns import turn_at
from app.tabs.shared.wiring import QUIET
from backend.contract.texts.problems import DataError, Problem, TuneboardError, UsageError
from backend.datafiles.values import DataRow

KINDS = [(f"keep.kind.{kind}", kind) for kind in ("kto", "sft", "preference")]
History = list[Turn]


@dataclass(frozen=True)
class Setting:
    """What the boxes beside the chat hold."""

    lang: str
    name: str
    kind: str
    system: str
    tools: str


def draw_choice(texts: Texts) -> dict[str, Any]:
    """Draw the two buttons, shown with both columns."""
    with gr.Row(visible=False, elem_id="keep-choice", elem_classes="buttons") as row:
        buttons = {
            f"prefer_{side}": texts.make(
                gr.Button, {"value": f"keep.{side}"}, elem_id=f"keep-{side}", size="sm"
            )
            for side in SIDES
        }
    return {"choice": row, **buttons}


def draw_set(texts: Texts) -> dict[str, Any]:
    """Draw the closed accordion with the set's name and kind."""
    with texts.make(gr.Accordion, {"label": "keep.title"}, open=False, elem_id="keep"):
        name = texts.make(
            gr.Textbox,
            {"label": "keep.name", "info": "keep.name_help"},
            max_lines=1,
            placeholder="my_answers",
            elem_id="keep-name",
        )
        kind = texts.make(
            gr.Radio,
            {"label": "keep.kind", "info": "keep.kind_help", "choices": KINDS},
            value="kto",
            elem_id="keep-kind",
        )
    return {"set_name": name, "set_kind": kind}


def wire(parts: dict[str, Any], lang: Any) -> None:
    """Let the thumbs of both columns and the two buttons add, change and remove rows."""
    names = ("set_name", "set_kind", "system", "tools")
    inputs = [parts["turns"], lang, *(parts[name] for name in names)]

    def thumb_in(side: str) -> Any:
        def thumb(event: gr.LikeData, turns: str, *box_values: str) -> Any:
            history = Conversation.read(turns).column(side)
            return _apply(
                Setting(*box_values), lambda setting: _rate_answer(setting, history, event)
            )

        return thumb

    def choose(side: str, turns: str, *box_values: str) -> Any:
        conversation = Conversation.read(turns)
        pair = conversation.tuned, conversation.base
        pair = pair if side == "tuned" else pair[::-1]
        return _apply(Setting(*box_values), lambda setting: _save_preference(setting, *pair))

    for side in SIDES:
        parts[side].like(thumb_in(side), inputs, parts["note"], **QUIET)
        parts[f"prefer_{side}"].click(partial(choose, side), inputs, parts["note"], **QUIET)


def _apply(setting: Setting, change: Any) -> Any:
    """The note after a change of the data set, or why there was no change."""
    try:
        if not (setting.name or "").strip():
            raise UsageError(Problem(code="feedback_name"))
        words = change(setting)
    except TuneboardError as error:
        words = problem_lines(error.problems, setting.lang)
    return gr.update(visible=True, value=words)


def _rate_answer(setting: Setting, history: History, event: gr.LikeData) -> str:
    """Save the answer that was rated as a row; a thumb that is taken back removes the row again."""
    if setting.kind == "preference":
        raise UsageError(Problem(code="feedback_choose"))
    place = event.index if isinstance(event.index, int) else event.index[0]
    messages = _messages(setting, history[: turn_at(history, place) + 1])
    tools, name = chat_turns.parse_tools(setting.tools), setting.name.strip()
    row = feedback.sft_row(messages, tools)
    if setting.kind == "kto":
        row = feedback.kto_row(messages, tools, event.liked is True)
    back = not isinstance(event.liked, bool)  # Gradio sends "" then
    if back or (setting.kind == "sft" and not event.liked):
        if feedback.remove(name, setting.kind, row):
            return t("keep.dropped", setting.lang, name=name)
        if back:
            return t("keep.nothing", setting.lang)
        raise UsageError(Problem(code="feedback_not_liked"))
    return _save_row(setting, setting.kind, row)


def _save_preference(setting: Setting, better: History, worse: History) -> str:
    """Save the last answers of both columns as a preference."""
    if not better or not worse:
        raise UsageError(Problem(code="feedback_no_answers"))
    *question, chosen = _messages(setting, better)
    *other_question, rejected = _messages(setting, worse)
    if question != other_question:
        raise UsageError(Problem(code="feedback_apart"))
    if chosen == rejected:
        raise UsageError(Problem(code="feedback_same"))
    row = feedback.preference_row(question, chat_turns.parse_tools(setting.tools), chosen, rejected)
    return _save_row(setting, "preference", row)


def _messages(setting: Setting, history: History) -> list[Turn]:
    """The conversation up to its last answer. Raises DataError where there is no answer."""
    last = history[-1] if history else {"role": "", "content": ""}
    if last["role"] != "assistant" or not last["content"].strip():
        raise DataError(Problem(code="feedback_no_answer"))
    try:
        return chat_turns.messages(history, setting.system or "")
    except ValueError:  # a tool call that is no JSON
        raise DataError(Problem(code="feedback_unfit")) from None


def _save_row(setting: Setting, kind: str, row: DataRow) -> str:
    """Save a row and return the note about it."""
    name = setting.name.strip()
    saved = feedback.save(name, kind, row)
    return t(
        "keep.replaced" if saved.replaced else "keep.kept",
        setting.lang,
        row=saved.number,
        name=name,
    )
