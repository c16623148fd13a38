"""Thumbs and choices in the Chat tab, kept as rows of a data set of the person's choice."""

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
from backend.contract.base.problems import DataError, Problem, TuneboardError, UsageError

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
    """The thumbs of both columns and the two buttons add, change and take out rows."""
    names = ("set_name", "set_kind", "system", "tools")
    inputs = [parts["turns"], lang, *(parts[name] for name in names)]

    def thumb_in(side: str) -> Any:
        def thumb(event: gr.LikeData, turns: str, *given: str) -> Any:
            history = Conversation.read(turns).column(side)
            return _told(Setting(*given), lambda held: _judged(held, history, event))

        return thumb

    def choose(side: str, turns: str, *given: str) -> Any:
        said = Conversation.read(turns)
        pair = (said.tuned, said.base) if side == "tuned" else (said.base, said.tuned)
        return _told(Setting(*given), lambda held: _preferred(held, *pair))

    for side in SIDES:
        parts[side].like(thumb_in(side), inputs, parts["note"], **QUIET)
        parts[f"prefer_{side}"].click(partial(choose, side), inputs, parts["note"], **QUIET)


def _told(held: Setting, change: Any) -> Any:
    """The note after a change of the set, or why there was none."""
    try:
        if not (held.name or "").strip():
            raise UsageError(Problem(code="feedback_name"))
        words = change(held)
    except TuneboardError as error:
        words = problem_lines(error.problems, held.lang)
    return gr.update(visible=True, value=words)


def _judged(held: Setting, history: History, event: gr.LikeData) -> str:
    """Keep the answer that a thumb is on; a thumb taken back takes its row out."""
    if held.kind == "preference":
        raise UsageError(Problem(code="feedback_choose"))
    place = event.index if isinstance(event.index, int) else event.index[0]
    messages = _messages(held, history[: turn_at(history, place) + 1])
    tools, name = chat_turns.parse_tools(held.tools), held.name.strip()
    row = feedback.sft_row(messages, tools)
    if held.kind == "kto":
        row = feedback.kto_row(messages, tools, event.liked is True)
    back = not isinstance(event.liked, bool)  # Gradio sends "" then
    if back or (held.kind == "sft" and not event.liked):
        if feedback.remove(name, held.kind, row):
            return t("keep.dropped", held.lang, name=name)
        if back:
            return t("keep.nothing", held.lang)
        raise UsageError(Problem(code="feedback_not_liked"))
    return _kept(held, held.kind, row)


def _preferred(held: Setting, better: History, worse: History) -> str:
    """Keep the last answers of both columns as a preference."""
    if not better or not worse:
        raise UsageError(Problem(code="feedback_no_answers"))
    *asked, chosen = _messages(held, better)
    *other, rejected = _messages(held, worse)
    if asked != other:
        raise UsageError(Problem(code="feedback_apart"))
    if chosen == rejected:
        raise UsageError(Problem(code="feedback_same"))
    row = feedback.preference_row(asked, chat_turns.parse_tools(held.tools), chosen, rejected)
    return _kept(held, "preference", row)


def _messages(held: Setting, history: History) -> list[Turn]:
    """The conversation up to an answer. Raises DataError: there is none."""
    last = history[-1] if history else {"role": "", "content": ""}
    if last["role"] != "assistant" or not last["content"].strip():
        raise DataError(Problem(code="feedback_no_answer"))
    try:
        return chat_turns.messages(history, held.system or "")
    except ValueError:  # a tool call that is no JSON
        raise DataError(Problem(code="feedback_unfit")) from None


def _kept(held: Setting, kind: str, row: feedback.Row) -> str:
    name = held.name.strip()
    kept = feedback.save(name, kind, row)
    return t(
        "keep.replaced" if kept.replaced else "keep.kept", held.lang, row=kept.number, name=name
    )
