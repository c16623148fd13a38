"""The card "Try it in three minutes": one button fills the form, Start does the rest.

What it has filled stays when another model is chosen: that is said, and taken back with one click.
"""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form.form import Form
from app.i18n import Texts, t
from app.problems import title_of
from app.services.models import catalog, starter
from app.services.page import presets
from app.services.runs.run_text import plain
from app.tabs.shared import message
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import format_value
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import saves

# What the other values were chosen for.
CHOSEN: tuple[ArgumentName, ...] = (
    "model_name_or_path",
    "finetuning_type",
)


@dataclass(frozen=True)
class Card:
    """The parts of the card, and of the line about its values; `filled`: whether it was used;
    `waiting`: whether the starter model is fetched for it."""

    box: Any
    fill: Any
    note: Any
    waiting: Any
    filled: Any
    left: Any
    left_note: Any
    reset: Any
    keep: Any


def build(texts: Texts, page: gr.Blocks) -> Card:
    """Draw the card on the page; it is folded away once there are runs."""
    with gr.Column(elem_id="try-it") as box:
        texts.add(gr.Markdown(t("try.text"), elem_classes="card-text"), value="try.text")
        fill = texts.make(gr.Button, {"value": "try.fill"}, elem_id="try-fill", variant="primary")
        note = message.note(texts, "try-note")
    with gr.Row(visible=False, elem_id="try-left", elem_classes="small-buttons") as left:
        left_note = gr.Markdown(elem_id="try-left-note", elem_classes="quiet", latex_delimiters=[])
        reset, keep = (
            texts.make(gr.Button, {"value": f"try.{name}"}, size="sm", elem_id=f"try-{name}")
            for name in ("reset", "keep")
        )
    waiting, filled = gr.State(False), gr.Checkbox(visible=False, container=False)
    page.load(
        lambda: gr.update(visible=False) if any(saves().glob("*/*/*/run.json")) else gr.skip(),
        None,
        box,
        **QUIET,
    )
    return Card(box, fill, note, waiting, filled, left, left_note, reset, keep)


def wire(card: Card, context: Context, form: Form) -> None:
    """The button fills the form at once, or first fetches the starter model as a child process."""
    context.keeper.add("tried", {"filled": card.filled})

    def fill_form() -> list[Any]:
        done = [gr.update(visible=False), False, True]
        return [*done, *form.fill(presets.TRY_IT)]

    def fill(lang: str) -> list[Any]:
        if catalog.starter_present():
            return fill_form()
        starter.fetch()
        note = gr.update(visible=True, value=t("try.fetching", lang))
        return [note, True, gr.skip(), *[gr.skip()] * len(form.inputs)]

    def follow(waiting: bool, lang: str) -> list[Any]:
        nothing = [gr.skip()] * (len(form.inputs) + 1)
        if not waiting:  # another visitor's page fetches it
            return [gr.skip(), gr.skip(), *nothing]
        state = starter.progress()
        if state is None or (state.code not in (None, 0)):
            line = state.line if state else ""
            note = gr.update(visible=True, value=t("try.failed", lang, line=line))
            return [note, False, *nothing]
        if state.running:
            return [
                gr.update(visible=True, value=state.line or t("try.fetching", lang)),
                gr.skip(),
                *nothing,
            ]
        return fill_form()

    outputs = [card.note, card.waiting, card.filled, *form.inputs]
    card.fill.click(fill, context.lang, outputs, api_visibility="private")
    context.news.starter.change(follow, [card.waiting, context.lang], outputs, **QUIET)
    _wire_left(card, context, form)


def _wire_left(card: Card, context: Context, form: Form) -> None:
    """Warn where values of the card are left after another model or method was chosen."""

    def look(filled: bool, lang: str, *box_values: Any) -> list[Any]:
        left = find_left_over(form.values(box_values)[0]) if filled else {}
        words = ", ".join(f"{title_of(n, lang)} {format_value(v)}" for n, v in left.items())
        return [gr.update(visible=bool(left)), plain(t("try.left", lang, values=words))]

    def reset(*box_values: Any) -> list[Any]:
        left = find_left_over(form.values(box_values)[0])
        return [False, gr.update(visible=False), *form.reset(left)]

    inputs, outputs = [card.filled, context.lang, *form.inputs], [card.left, card.left_note]
    events = [context.lang.change, context.bar.box.change]
    gr.on(events, look, inputs, outputs, trigger_mode="always_last", **QUIET)
    card.reset.click(reset, form.inputs, [card.filled, card.left, *form.inputs], **QUIET)
    card.keep.click(
        lambda: [False, gr.update(visible=False)], None, [card.filled, card.left], **QUIET
    )


def find_left_over(values: Values) -> Values:
    """Find values that the card filled in and that still stand although the person has since chosen
    another model or method, for which they are wrong."""
    if all(values[name] == presets.TRY_IT[name] for name in CHOSEN):
        return {}
    return {
        name: value
        for name, value in presets.TRY_IT.items()
        if values[name] == value != FIELDS[name].default and name not in {*CHOSEN, "dataset"}
    }
