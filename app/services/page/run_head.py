"""Build the head of a run's panel (above the curves) as data for the browser, in one language."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app.i18n import t
from app.problems import text_beside_field
from app.services.models import export_archive
from app.services.runs import fixes, hardware, history, run_text, runs
from app.services.runs.history import History
from backend.contract.folders.home import relative
from backend.contract.models.devices import Gpu
from backend.contract.runs import model_folders, run_folder, run_view, troubles
from backend.contract.runs.run_folder import RunView, State
from backend.contract.texts.numbers import format_number, localize
from backend.contract.texts.problems import Problem

ETA_FROM = 5  # steps: the first ones of a run are slower than those that follow
DASH = "–"
MACHINE = ("gpu", "load", "memory", "temperature", "power")
USES = {"train": ("chat", "evaluate", "export"), "export": ("chat",)}  # what a result is used for
COMMAND = "exported_use"  # the notice of an export with a command
POINTS = ("name", "time", "eval_loss")

Json = dict[str, Any]


def build_head(view: RunView, lang: str) -> Json:
    """The state, progress, numbers, problems and buttons of a run."""
    known, fix = history.read(view.path), fixes.find_fix(view)
    train, queued = view.task == "train", view.state is State.QUEUED
    return {
        "name": view.name,
        "state": run_view.describe_state(view, lang),
        "kind": view.state.value.lower(),
        "ended": view.ended,
        "share": 0.0 if queued else run_view.progress(view, known.recent, lang).share,
        "progress": " · ".join(_describe_progress(view, known, lang)),
        "tiles": _list_tiles(view, known, lang) if train else _list_times(view, lang),
        **_list_problems(view, fix, known, lang),
        "fix": fix.words(fixes.arguments(view) if fix.changes else {}, lang),
        "is_due": fix.is_due,
        "buttons": _list_buttons(view, fix, lang),
        "resumable": train and view.ended and bool(runs.checkpoints(view.path)),
        "files": relative(view.path),
        "download": runs.log_link(view.path),
        "use": _list_uses(view),
    }


def build_machine(view: RunView, lang: str) -> Json | None:
    """The GPUs as the driver reports them, and the free disk space; None once the run has ended."""
    if view.ended:
        return None
    now = hardware.snapshot()
    return {
        "columns": [t(f"panel.machine.{name}", lang) for name in MACHINE],
        "rows": [_describe_gpu(gpu, lang) for gpu in now.gpus],
        "disk": t("hardware.disk", lang, free=format_number(now.disk_free / hardware.GB, ",.0f")),
    }


def build_points(view: RunView, lang: str) -> Json:
    """The whole checkpoints as a table, the newest first."""
    known = sorted(runs.checkpoints(view.path), key=lambda point: point.step, reverse=True)
    return {
        "title": t("panel.checkpoints", lang, count=len(known)),
        "columns": [t(f"panel.checkpoint.{name}", lang) for name in POINTS],
        "rows": [
            [point.path.name, run_text.moment(point.created), _format(point.eval_loss, lang)]
            for point in known
        ],
    }


def _describe_progress(view: RunView, known: History, lang: str) -> list[str]:
    """Step of all steps and epoch; before the first step the time of the start."""
    words = run_view.describe_position(view, known.recent, lang)
    if view.ended or view.step or view.elapsed is None:
        return words
    began = datetime.now() - timedelta(seconds=view.elapsed)
    key = "panel.queued" if view.state is State.QUEUED else "panel.since"
    since = {"clock": f"{began:%H:%M}", "time": run_view.duration(view.elapsed, lang)}
    return [*words, t(key, lang, **since)]


def _list_times(view: RunView, lang: str) -> list[Json]:
    """The time left, or the time that the run took."""
    if view.ended:
        elapsed = [] if view.elapsed is None else [run_view.duration(view.elapsed, lang)]
        return [_make_tile("took", text, lang) for text in elapsed]
    known = view.eta is not None and (view.rows[1] or view.step >= ETA_FROM)
    return [_make_tile("left", run_view.duration(view.eta or 0, lang) if known else DASH, lang)]


def _list_tiles(view: RunView, known: History, lang: str) -> list[Json]:
    """Time, speed, the newest loss, and the lowest loss with its step."""
    pace = run_view.find_pace(known.recent)
    best, name = (known.best, "best") if known.best else (known.lowest, "lowest")
    note = t("panel.at_step", lang, step=format_number(best[1])) if best else ""
    return [
        *_list_times(view, lang),
        _make_tile("pace", DASH if pace is None else localize(f"{pace:,.0f}", lang), lang),
        _make_tile("loss", _format(known.loss, lang), lang),
        {**_make_tile(name, _format(best[0] if best else None, lang), lang), "note": note},
    ]


def _make_tile(name: str, value: str, lang: str) -> Json:
    return {"title": t(f"panel.tile.{name}", lang), "value": value, "note": ""}


def _list_problems(view: RunView, fix: fixes.Fix, known: History, lang: str) -> Json:
    """The problems and the notices of a run, in words."""
    problems = [*([view.reason] if view.reason else []), *view.more]
    resumption = run_folder.resumption(view)
    notices = [
        *(problem for problem in problems if problem.notice),
        *troubles.notices(view, known.recent, known.evaluated),
        *([resumption] if resumption else []),
        *(notice for notice in view.notices if notice.code != COMMAND),
    ]
    return {
        "problem": _join(
            [fixes.correct(problem, fix, lang) for problem in problems if not problem.notice], lang
        ),
        "notices": _join(notices, lang),
    }


def _list_uses(view: RunView) -> Json:
    """The commands that run an exported model, and where it is downloaded ("" for nowhere)."""
    commands = [str(each.params["command"]) for each in view.notices if each.code == COMMAND]
    return {"commands": commands, "download": export_archive.link(view)}


def _list_buttons(view: RunView, fix: fixes.Fix, lang: str) -> list[Json]:
    """The buttons that apply, the most useful first; that one is primary."""
    train = view.task == "train"
    ends = {State.SUCCEEDED, State.STOPPED} if train else {State.SUCCEEDED}
    result = view.state in ends and model_folders.is_usable(model_folders.result_folder(view))
    uses = USES.get(view.task, ()) if result else ()
    texts = {
        "restart": _name_restart(fix, lang) if fix.changes else "",
        "stop": "" if view.ended else t(run_text.stop_key(view), lang),
        "resume": t("panel.resume", lang) if runs.is_resumable(view) else "",
        **{name: t(f"panel.{name}", lang) if name in uses else "" for name in USES["train"]},
        "again": t("panel.again_changed" if fix.changes else "panel.again", lang)
        if train and view.ended
        else "",
    }
    shown = [name for name, text in texts.items() if text]
    return [
        {
            "name": name,
            "text": texts[name],
            "enabled": view.state != State.STOPPING,
            "primary": name == shown[0] and name in {"restart", "resume", "chat"},
        }
        for name in shown
    ]


def _name_restart(fix: fixes.Fix, lang: str) -> str:
    if fix.without:
        return t("panel.restart_without", lang, names=", ".join(fix.without))
    return t("panel.restart", lang)


def _describe_gpu(gpu: Gpu, lang: str) -> list[str]:
    def format_value(value: float | None, unit: str) -> str:
        return DASH if value is None else f"{value:.0f} {unit}"

    memory = localize(f"{gpu.used / hardware.GIB:.1f} / {gpu.total / hardware.GIB:.0f} GB", lang)
    name = f"{gpu.index} {gpu.name}"
    return [
        name,
        format_value(gpu.load, "%"),
        memory,
        format_value(gpu.temperature, "°C"),
        format_value(gpu.power, "W"),
    ]


def _join(problems: Sequence[Problem], lang: str) -> str:
    return "\n".join(text_beside_field(problem, lang) for problem in problems)


def _format(value: float | None, lang: str) -> str:
    return DASH if value is None else localize(f"{value:.4f}", lang)
