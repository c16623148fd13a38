"""One run on the page: a component whose value is the run's folder, drawn by run_panel.js.

The browser asks GET own/run for what there is to see, and functions of the component for what is to
be done with the run. Its events open other tabs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.component import make_call, make_component
from app.form.values import check
from app.i18n import languages, say_in_all
from app.problems import describe, problem_lines
from app.services.runs import fixes, runs
from app.tabs.run import resume_panel
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.home import saves
from backend.contract.base.problems import TuneboardError
from backend.contract.launching import launch

EVENTS = ("again", "chat", "evaluate", "export")
WORDS = (
    "chart",
    "copy",
    "cure",
    "download",
    "figures",
    "files",
    "log",
    "log_axis",
    "lost",
    "machine",
    "notices",
    "problem",
    "progress",
    "safe",
    "search",
)
CHART_WORDS = (
    "best",
    "checkpoints",
    "disk_free",
    "eval_loss",
    "grad_norm",
    "kind.disk",
    "kind.loss",
    "kind.memory",
    "kind.norm",
    "kind.rate",
    "kind.speed",
    "learning_rate",
    "loss",
    "memory",
    "not_a_number",
    "smoothed",
    "step",
    "tokens_per_second",
    "train_loss",
)
TABS = {"eval": "evaluate", "vocab": "data"}  # where these tasks have their panels
WITH_TRAININGS = ("train", "runs")  # panels that show trainings
TEMPLATE = '<div class="run-top"></div>{}<div class="run-rest"></div>'

Act = Callable[[Path, Mapping[str, Any]], Path]


def build(context: Context, prefix: str = "train", *, none: str = "") -> Any:
    """Draw a panel and wire it; returns the component. Its value is the folder of the run ("" for
    none), its events are those of EVENTS.

    `prefix` keeps element ids apart, and is the task whose newest run a fresh page shows; with
    `none` it shows none at first, but this text.
    """
    keys = {
        "none": none or "panel.none",
        **{name: f"panel.{name}" for name in WORDS},
        **{f"chart.{name}": f"chart.{name}" for name in CHART_WORDS},
    }
    with_trainings = prefix in WITH_TRAININGS
    panel = make_component(
        "run_panel",
        TEMPLATE.format("@children" if with_trainings else ""),
        "",
        events=EVENTS,
        functions=[stop, resume, restart],
        elem_id=f"{prefix}-run",
        prefix=f"{prefix}-run",
        saves=str(saves()),
        words=say_in_all(keys),
    )
    if with_trainings:
        with panel:
            resume_with = resume_panel.draw(context.texts, context.schemas, prefix)
        resume_with.wire(panel, context.lang)
    if not none:
        _open_latest(panel, prefix, context)
    return panel


def stop(asked: Any) -> dict[str, Any]:
    """Ask the run to save and end."""
    return _answer(asked, _stop)


def resume(asked: Any) -> dict[str, Any]:
    """Let the run go on from its last checkpoint."""
    return _answer(asked, _resume)


def restart(asked: Any) -> dict[str, Any]:
    """Start a training that has failed again, with what helps; the answer names the new run. The
    secrets are those that the form of Train holds, as no run keeps them."""
    return _answer(asked, _restart)


def _stop(folder: Path, _: Mapping[str, Any]) -> Path:
    launch.stop(folder)
    return folder


def _resume(folder: Path, _: Mapping[str, Any]) -> Path:
    launch.resume(folder)
    return folder


def _restart(folder: Path, held: Mapping[str, Any]) -> Path:
    known = {name: value for name, value in held.items() if name in FIELDS and value}
    secrets = {name: str(value) for name, value in known.items() if FIELDS[name].secret}
    return fixes.restart(runs.view(folder), secrets)


def _answer(asked: Any, act: Act) -> dict[str, Any]:
    """The answer to a press, {"run", "values"}: {"ok", "run"}, or why not in every language.

    An error would be no rejection in the browser (Gradio 6.31 answers nothing), so it is told.
    """
    asked = check(asked)
    folder = runs.find_folder(str(asked.get("run", "")))
    if folder is None:
        return {"ok": False, "errors": {}}
    try:
        place = act(folder, check(asked.get("values")))
    except TuneboardError as error:
        problems = error.problems
        return {
            "ok": False,
            "errors": {lang: problem_lines(problems, lang) for lang in languages()},
        }
    except Exception as error:  # noqa: BLE001 (an outermost edge)
        return {"ok": False, "errors": {lang: describe(error, lang)[1] for lang in languages()}}
    finally:
        runs.forget()
    return {"ok": True, "run": str(place)}


def _open_latest(panel: Any, task: str, context: Context) -> None:
    """A page that is opened again, on any machine, shows the run that goes on; an open one shows
    what was started in a terminal. A run that is shown is left alone: written back, it would take
    the place of one whose start is answered at the same time."""

    def find_latest(name: str) -> Any:
        latest = None if name else runs.latest(task)
        return str(latest) if latest else gr.skip()

    named = make_call("run_address", "nameRun", TABS.get(task, task), str(saves()))
    context.news.runs.change(find_latest, panel, panel, js=named, **QUIET)
