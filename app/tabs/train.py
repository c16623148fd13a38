"""The Train tab: what to learn, how, the command, Start, and the run."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.form.form import Form
from app.form.schema import EXTRA, Section
from app.i18n import Texts, t
from app.problems import problem_lines
from app.services.page import presets, row_values
from app.tabs import purpose, try_it
from app.tabs.data import data_view
from app.tabs.run import run_panel
from app.tabs.run.launching import RUN_NAME, Launcher
from app.tabs.shared import message
from app.tabs.shared.context import Context
from backend.contract.arguments.field import Field, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.problems import Problem, TuneboardError, errors

Read = Callable[[str, str], tuple[Values, list[Problem]]]

WHAT = ("stage", "dataset")
SAMPLES = ("eval_dataset", "max_samples", "val_size")
HOW = (
    "learning_rate",
    "num_train_epochs",
    "per_device_train_batch_size",
    "cutoff_len",
    "gradient_accumulation_steps",
    "lr_scheduler_type",
    "bf16",
)
GROUPS = (
    "lora",
    "freeze",
    "preference",
    "grpo",
    "reward",
    "ppo",
    "distillation",
    "generation",
    "evaluation",
    "output",
    "tracking",
    "optimizer",
    "speed",
    "data",
    "training",
)
NOT_SHOWN = {"output_dir", "resume_from_checkpoint", "do_predict"}


def build(context: Context) -> tuple[Any, Form]:
    """Draw the tab and wire it; returns the panel, whose run the other tabs may open, and the form
    that a run may be set up again with."""
    texts = context.texts
    form = Form("train", "train", _sections(context.bar), own=[RUN_NAME, EXTRA], bar=context.bar)
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            card = try_it.build(texts, context.page)
            purpose.build(form)
            with form.draw(context.schemas, inside=True):
                looked = data_view.draw_preview(texts, form)
            saved = _arguments_box(texts)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            launcher = Launcher("train", form, follow=row_values.follow, memory=True)
            launcher.draw()
            panel = run_panel.build(context, prefix="train")
    launcher.wire(panel)
    data_view.wire_preview(looked, form)
    _wire_arguments(context, form, saved)
    try_it.wire(card, context, form)
    return panel, form


def _sections(bar: Form) -> list[Section]:
    """What to learn, how, the name of the run, and closed groups of everything else.

    With the three fields of the model bar and the purpose, simple mode shows nine, and the name.
    """
    drawn = {*bar.drawn, *WHAT, *SAMPLES, *HOW, *NOT_SHOWN}
    groups = [
        Section(group, f"group.{group}", names, closed=True, width=3)
        for group in GROUPS
        if (names := tuple(row.name for row in FIELDS.values() if _belongs(row, group, drawn)))
    ]
    return [
        Section("what", "train.what", WHAT, slot="first", simple=WHAT),
        Section("samples", "", SAMPLES, slot="first"),
        Section("how", "train.how", HOW, simple=HOW[:3]),
        *groups,
        Section("name", "", (RUN_NAME.name,), width=1, simple=(RUN_NAME.name,)),
        Section("extra", "", (EXTRA.name,), width=1),
    ]


def _belongs(row: Field, group: str, drawn: set[str]) -> bool:
    """Whether a closed group draws an argument."""
    shown = "train" in row.tasks and row.widget != "none"
    return row.group == group and shown and row.name not in drawn


def _arguments_box(texts: Texts) -> dict[str, Any]:
    with texts.make(gr.Accordion, {"label": "train.arguments"}, open=False, elem_id="arguments"):
        with gr.Row(elem_classes="fields"):
            name = texts.make(
                gr.Textbox,
                {"label": "train.arguments_name"},
                placeholder="my_arguments",
                elem_id="arguments_name",
                max_lines=1,
            )
            save = texts.make(
                gr.Button, {"value": "train.arguments_save"}, elem_id="arguments_save"
            )
        with gr.Row(elem_classes="fields"):
            choice = texts.make(
                gr.Dropdown,
                {"label": "train.arguments_choice"},
                choices=presets.names(),
                value=None,
                elem_id="arguments_choice",
            )
            load = texts.make(
                gr.Button, {"value": "train.arguments_load"}, elem_id="arguments_load"
            )
            upload = texts.make(
                gr.UploadButton,
                {"label": "train.arguments_upload"},
                file_types=[".yaml", ".yml", ".json"],
                elem_id="arguments_upload",
            )
        note = message.note(texts, "arguments_note")
    return {
        "name": name,
        "save": save,
        "choice": choice,
        "load": load,
        "upload": upload,
        "note": note,
    }


def _wire_arguments(context: Context, form: Form, box: dict[str, Any]) -> None:
    def save(lang: str, name: str, *box_values: Any) -> list[Any]:
        values, problems = form.values(box_values)
        try:
            if errors(problems):
                words = problem_lines(errors(problems), lang)
                return [gr.update(visible=True, value=words), gr.skip()]
            path = presets.save(name.strip(), values, "train")
        except TuneboardError as error:
            return [gr.update(visible=True, value=problem_lines(error.problems, lang)), gr.skip()]
        note = t("train.arguments_saved", lang, path=str(path))
        return [gr.update(visible=True, value=note), gr.update(choices=presets.names(), value=name)]

    def fill(lang: str, read: Read, name: str | None) -> list[Any]:
        try:
            values, notices = read(name or "", "train")
        except TuneboardError as error:
            failed = gr.update(visible=True, value=problem_lines(error.problems, lang))
            return [failed, *[gr.skip()] * len(form.inputs)]
        note = gr.update(visible=bool(notices), value=problem_lines(notices, lang))
        return [note, *form.fill(values)]

    def load(lang: str, name: str | None) -> list[Any]:
        return fill(lang, presets.load_saved, name)

    def upload(lang: str, path: str | None) -> list[Any]:
        return fill(lang, presets.load_upload, path)

    box["save"].click(
        save,
        [context.lang, box["name"], *form.inputs],
        [box["note"], box["choice"]],
        api_visibility="private",
    )
    outputs = [box["note"], *form.inputs]
    box["load"].click(load, [context.lang, box["choice"]], outputs, api_visibility="private")
    box["upload"].upload(upload, [context.lang, box["upload"]], outputs, api_visibility="private")
