"""The part of a run panel that starts or sets up a training again, with the change that helps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form
from app.i18n import Texts, say, t
from app.services.runs import fixes, runs
from app.tabs.shared import answer
from app.tabs.shared.context import Context
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.problems import TuneboardError
from backend.contract.runs.run_folder import RunView


def draw_cure(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    """What helps in words, or as a command to copy."""
    cure = gr.Textbox(
        visible=False,
        interactive=False,
        lines=1,
        max_lines=6,
        buttons=["copy"],
        elem_id=f"{prefix}-run-cure",
        elem_classes="cure",
        **say({"label": "panel.cure"}),
    )
    parts["cure"] = texts.add(cure, label="panel.cure")


def draw_button(name: str, prefix: str, parts: dict[str, Any], variant: str) -> None:
    """A button whose words follow from the run: `restart` starts it again with what helps, `again`
    only fills the form."""
    parts[name] = gr.Button(
        visible=False,
        size="md",
        variant=variant,
        min_width=110,
        elem_id=f"{prefix}-run-{name}",
        **say({"value": "panel.again"}),
    )


def stamps(view: RunView, lang: str) -> dict[str, Any]:
    """What they show for a run."""
    if view.task != "train" or not view.ended:
        return {name: {"visible": False} for name in ("cure", "restart", "again")}
    cure = fixes.find_fix(view)
    words = cure.words(fixes.arguments(view), lang)
    label = t("panel.again_changed" if cure.changes else "panel.again", lang)
    return {
        "cure": {"value": words, "visible": bool(words)},
        "restart": {"value": _restart(cure, lang), "visible": bool(cure.changes)},
        "again": {"value": label, "visible": True},
    }


def _restart(cure: fixes.Fix, lang: str) -> str:
    if cure.without:
        return t("panel.restart_without", lang, names=", ".join(cure.without))
    return t("panel.restart", lang)


def wire(context: Context, form: Form, panels: Sequence[Any]) -> None:
    """`again` fills the Train form with the run's arguments and the change; `restart` starts them
    as they are, with the secrets that the form holds, as no run keeps those."""

    def fill(path: str) -> list[Any]:
        view = runs.view(Path(path))
        values = {**fixes.arguments(view), **fixes.find_fix(view).changes}
        return [gr.Tabs(selected="train"), *form.fill(values)]

    def restart(path: str, lang: str, *given: Any) -> list[Any]:
        held = form.values(given)[0]
        secrets = {name: held[name] for name in held if FIELDS[name].secret and held[name]}
        try:
            folder = fixes.restart(runs.view(Path(path)), secrets)
        except TuneboardError as error:
            return [gr.skip(), *answer.refused(error.problems, lang)]
        runs.forget()
        return [str(folder), *answer.started()]

    outputs = [context.tabs, *form.inputs]
    inputs = [context.lang, *form.inputs]
    for panel in panels:
        panel.again.click(fill, panel.run, outputs, api_visibility="private")
        panel.answer.hear(context)
        started = panel.answer.button.click(
            restart,
            [panel.run, *inputs],
            [panel.run, *panel.answer.outputs],
            api_visibility="private",
        )
        panel.answer.wire(context, started, [panel.run.change])
        panel.show_after(started)
