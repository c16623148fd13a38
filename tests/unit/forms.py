"""Forms as tests draw them: all fields in one section."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from app.form.form import Form, Raw
from app.form.schema import EXTRA, Section
from app.tabs.run.launching import RUN_NAME, Launcher
from backend.contract.arguments.fields import FIELDS

ON_THE_PAGE = [row.name for row in FIELDS.values() if "train" in row.tasks and row.widget != "none"]


def train_form(names: Sequence[str] = (), start: Mapping[str, Any] | None = None) -> Form:
    """The form of Train with these fields (all by default), a name and further arguments."""
    drawn = (*(names or ON_THE_PAGE), RUN_NAME.name, EXTRA.name)
    return Form("train", "train", [Section("all", "", drawn)], own=[RUN_NAME, EXTRA], start=start)


def launcher_of(form: Form) -> Launcher:
    """What judges and starts it, without a page around it."""
    with gr.Blocks():
        form.draw({})
    return Launcher(form.task, form)


def filled(launcher: Launcher, **changes: Any) -> Raw:
    """What all fields hold, some of them changed, or forged."""
    assert set(changes) <= launcher.form.drawn
    return launcher.form.raw([{RUN_NAME.name: "run", **changes}])
