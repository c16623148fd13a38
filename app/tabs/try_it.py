"""The card "Try it in three minutes": one button fills the form, Start does the rest."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form import Form
from app.i18n import Texts, t
from app.services import catalog, presets, starter
from app.tabs import message
from app.tabs.context import Context
from backend.contract.home import saves


@dataclass(frozen=True)
class Card:
    """The parts of the card."""

    box: Any
    fill: Any
    note: Any
    timer: Any


def build(texts: Texts) -> Card:
    """Draw the card; it is folded away once there are runs."""
    with gr.Column(elem_id="try-it") as box:
        texts.add(gr.Markdown(t("try.text"), elem_classes="card-text"), value="try.text")
        fill = texts.make(gr.Button, {"value": "try.fill"}, elem_id="try-fill", variant="primary")
        note = message.note(texts, "try-note")
        timer = gr.Timer(1, active=False)
    gr.context.Context.root_block.load(
        lambda: gr.update(visible=False) if any(saves().glob("*/*/*/run.json")) else gr.skip(),
        None,
        box,
        show_progress="hidden",
        api_visibility="private",
    )
    return Card(box, fill, note, timer)


def wire(card: Card, context: Context, form: Form) -> None:
    """The button fills the form at once, or first fetches the starter model as a child process."""
    filled = [context.model_name, *form.components]

    def fill(lang: str) -> list[Any]:
        if catalog.starter_present():
            return [gr.update(visible=False), gr.Timer(active=False), *_filled(form)]
        starter.fetch()
        note = gr.update(visible=True, value=t("try.fetching", lang))
        return [note, gr.Timer(active=True), *[gr.skip()] * len(filled)]

    def follow(lang: str) -> list[Any]:
        state = starter.progress()
        nothing = [gr.skip()] * len(filled)
        if state is None or (state.code not in (None, 0)):
            line = state.line if state else ""
            note = gr.update(visible=True, value=t("try.failed", lang, line=line))
            return [note, gr.Timer(active=False), *nothing]
        if state.running:
            return [
                gr.update(visible=True, value=state.line or t("try.fetching", lang)),
                gr.skip(),
                *nothing,
            ]
        return [gr.update(visible=False), gr.Timer(active=False), *_filled(form)]

    outputs = [card.note, card.timer, *filled]
    card.fill.click(fill, context.lang, outputs, api_visibility="private")
    card.timer.tick(follow, context.lang, outputs, show_progress="hidden", api_visibility="private")


def _filled(form: Form) -> list[Any]:
    return [gr.update(value=catalog.STARTER), *form.fill(presets.TRY_IT)]
