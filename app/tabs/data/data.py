"""The Data tab: what sets there are, and the path of one from a file to a training."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from app.form.component import make_component
from app.form.form import Form
from app.i18n import TextKeys, t
from app.tabs.data import data_in, data_register, data_rows, data_sets, data_steps, data_vocabulary
from app.tabs.shared.context import Context

STEPS = ("bring", "look", "check", "clean", "split", "train")
WORDS = (*STEPS, "label", "chosen", "none")


def build(context: Context, train: Form) -> Callable[[Form], None]:
    """Draw the tab and wire it; `train`: the form of the Train tab, which takes a set over. What is
    returned wires the form of the Evaluate tab, which takes over the test half of a split."""
    texts = context.texts
    texts.add(gr.Markdown(t("sets.title"), elem_classes="heading"), value="sets.title")
    dataset = data_sets.draw_list()
    with _steps() as steps:
        with _step("bring"):
            brought = data_in.draw(context)
        with _step("look"):
            form, looked = data_sets.draw_look(context, dataset)
            folder = looked["folder"]
            data_rows.build(texts, dataset, folder)
        with _step("check"):
            data_steps.build_check(form, dataset, folder)
        with _step("clean"):
            data_steps.build_clean(context, dataset, folder)
        with _step("split"):
            split = data_steps.build_split(context, dataset, folder)
    data_vocabulary.build(context, train)
    place = data_in.Place(folder, dataset)
    data_in.wire(brought, place)
    data_register.wire(brought, place)
    data_sets.wire(context, form, {**looked, "steps": steps}, train)
    return partial(data_sets.wire_test_half, split, dataset, folder)


def _steps() -> Any:
    """The numbered steps; the parts of each are made inside, and seen while it is open."""
    words = {name: f"steps.{name}" for name in WORDS}
    return make_component(
        "steps",
        '<div class="list"></div>@children',
        "",
        events=["train"],
        elem_id="data-steps",
        elem_classes="tuneboard-steps",
        steps=[*STEPS],
        kept=["data", "dataset"],
        words=TextKeys(words),
    )


def _step(name: str) -> Any:
    return gr.Column(elem_id=f"step-{name}", elem_classes=["step", f"step-{name}"])
