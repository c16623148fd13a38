"""New words: pieces for a language that the vocabulary lacks, an accordion of the Data tab."""

from typing import Any

import gradio as gr

from app.form.form import Form, change
from app.form.schema import Section
from app.i18n import t
from app.services.data import vocabulary
from app.services.runs import runs
from app.tabs.run import run_panel
from app.tabs.run.launching import Launcher
from app.tabs.shared import model_bar
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.folders.home import output, relative
from backend.contract.runs import run_folder

SECTIONS = (
    Section("corpus", "", ("dataset", "known_dataset"), slot="first", width=2),
    Section("pieces", "", ("new_pieces", "fit_steps", "export_dir"), slot="first", width=3),
    Section("folder", "group.data", ("dataset_dir",), slot="first", closed=True),
)


def build(context: Context, train: Form) -> None:
    """Draw it and wire it; `train` is the form of the Train tab, where the result goes on."""
    texts = context.texts
    form = Form("vocab", "vocab", SECTIONS, bar=context.bar)
    with (
        texts.make(gr.Accordion, {"label": "words.title"}, open=False, elem_id="words"),
        gr.Row(elem_classes="columns"),
    ):
        with gr.Column(scale=3, min_width=320):
            texts.add(gr.Markdown(t("words.intro"), elem_classes="quiet"), value="words.intro")
            model_bar.draw_chosen(context.bar)
            form.draw(context.schemas)
            report = gr.Markdown(visible=False, elem_id="words-report", elem_classes=["run-points"])
            go_on = texts.make(
                gr.Button, {"value": "words.pretrain"}, visible=False, elem_id="words-pretrain"
            )
        with gr.Column(scale=2, min_width=320):
            launcher = Launcher("vocab", form)
            launcher.draw()
            panel = run_panel.build(context, prefix="vocab")
    launcher.wire(panel)
    _wire_report(context, panel, report, go_on)
    _wire_pretrain(context, train, go_on, panel)


def _wire_report(context: Context, run: Any, report: Any, go_on: Any) -> None:
    """The report of a finished run, and the button that goes on from it."""
    seen = gr.State("")

    def show(path: str, lang: str, before: str) -> list[Any]:
        folder = runs.find_folder(path) if path else None
        results = folder / run_folder.RESULTS if folder else None
        changed = results.stat().st_mtime if results and results.is_file() else 0
        stamp = f"{path}|{lang}|{changed}"
        if stamp == before:
            return [gr.skip()] * 3
        report_text = vocabulary.report(folder, lang) if folder else ""
        shown = {"visible": bool(report_text)}
        return [gr.update(value=report_text, **shown), gr.update(**shown), stamp]

    events = [context.news.runs["data"].change, run.change, context.lang.change]
    gr.on(events, show, [run, context.lang, seen], [report, go_on, seen], **QUIET)


def _wire_pretrain(context: Context, train: Form, button: Any, run: Any) -> None:
    """The model that came of the run shown in the model bar, and the Train tab at its stage pt."""

    def go_on(path: str) -> list[Any]:
        folder = runs.find_folder(path)
        if folder is None:
            return [gr.skip()] * 3
        model = output(runs.view(folder).arguments.export_dir or "")
        chosen = {"model_name_or_path": relative(model), "adapter_name_or_path": []}
        return [gr.Tabs(selected="train"), change(chosen), change({"stage": "pt"})]

    boxes = [context.bar.box, train.box]
    button.click(go_on, run, [context.tabs, *boxes], api_visibility="private")
