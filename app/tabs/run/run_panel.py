"""One run on the page: a component whose value is the run's folder, drawn by run_panel.js.

The browser asks GET own/run for what there is to see, and functions of the component for what is to
be done with the run. Its events open other tabs.
"""

from pathlib import Path
from typing import Any

from app.form.component import Question, answer, make_component, refuse
from app.form.values import check
from app.i18n import TextKeys
from app.services.runs import fixes, runs
from app.tabs.run import resume_panel
from app.tabs.shared.answer import OFFERS, runs_in_way, stop_runs
from app.tabs.shared.context import Context
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import saves
from backend.contract.launching import launch
from backend.contract.texts.problems import Problem, RunFolderError

EVENTS = ("again", "chat", "evaluate", "export")
WORDS = (
    "chart",
    "copy",
    "fix",
    "download",
    "download_export",
    "metrics",
    "files",
    "log",
    "log_axis",
    "lost",
    "machine",
    "notices",
    "notify",
    "notify_blocked",
    "problem",
    "progress",
    "safe",
    "search",
    "use",
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
WITH_TRAININGS = ("train", "runs")  # panels that show trainings
TEMPLATE = '<div class="run-top"></div>{}<div class="run-rest"></div>'


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
        **{name: f"start.{name}" for name in OFFERS},
    }
    with_trainings = prefix in WITH_TRAININGS

    def latest(_: Any) -> dict[str, Any]:
        return {"ok": True, "run": str(runs.latest(prefix) or "")}

    panel = make_component(
        "run_panel",
        TEMPLATE.format("@children" if with_trainings else ""),
        "",
        events=EVENTS,
        functions=[stop, resume, restart, latest],
        elem_id=f"{prefix}-run",
        prefix=f"{prefix}-run",
        saves=str(saves()),
        opens_latest=not none,
        words=TextKeys(keys),
    )
    if with_trainings:
        with panel:
            resume_with = resume_panel.draw(context.texts, context.schemas, prefix)
        resume_with.wire(panel, context.lang)
    return panel


def stop(asked: Any) -> Question:
    """Ask the run to save and end."""
    return answer(_stop, asked)


def resume(asked: Any) -> Question:
    """Let the run go on from its last checkpoint."""
    return answer(_resume, asked)


def restart(asked: Any) -> Question:
    """Start a training that has failed again, with what helps; the answer names the new run, or the
    runs that are in its way. `how` it starts is as beside Start: at once, in the queue, or instead
    of those. The secrets are those that the form of Train holds, as no run keeps them."""
    return answer(_restart, asked)


def _stop(question: Question, _: str) -> Question:
    folder = _find(question)
    launch.stop(folder)
    return _name(folder)


def _resume(question: Question, _: str) -> Question:
    folder = _find(question)
    launch.resume(folder)
    return _name(folder)


def _restart(question: Question, _: str) -> Question:
    how, values = str(question.get("how", "")), check(question.get("values"))
    held = [field.name for field in FIELDS.values() if field.secret and values.get(field.name)]
    secrets: Values = {name: str(values[name]) for name in held}
    try:
        folder = fixes.restart(runs.view(_find(question)), secrets, queued=bool(how))
    except RunFolderError as error:
        return {**refuse(error), "in_way": runs_in_way(error.problems)}
    if how == "instead":
        names = question.get("in_way")
        stop_runs(str(name) for name in (names if isinstance(names, list) else []))
    return _name(folder)


def _find(question: Question) -> Path:
    """The folder of the run that a press is about. Raises RunFolderError where the page lists no
    such run."""
    path = str(question.get("run", ""))
    folder = runs.find_folder(path)
    if folder is None:
        raise RunFolderError(Problem(code="no_such_run", params={"path": path}))
    return folder


def _name(folder: Path) -> Question:
    """The answer that names the run which is to be shown."""
    runs.forget()
    return {"run": str(folder)}
