"""The run panel's handler: it sends what has changed, in the page's language, and nothing else."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.form.form import Form
from app.i18n import Texts
from app.services.runs import charts, runs
from app.tabs.run import run_look, run_panel
from app.tabs.shared import clock
from app.tabs.shared.context import Context
from app.tabs.shared.keeping import Keeper
from backend.contract.arguments import arguments
from backend.contract.base import metrics
from backend.contract.base.metrics import Metrics
from backend.contract.base.problems import Problem
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView, State

SKIP = gr.skip()


def context() -> Context:
    """What a panel needs of the page around it."""
    lang, texts = gr.Dropdown(choices=["en", "zh"], value="en"), Texts()
    return Context(texts, lang, Form("train", "bar", []), {}, None, clock.draw(), Keeper())


@cache
def drawn_panel() -> run_panel.Panel:
    """The panel of the Runs tab, one for all visitors, as on a page."""
    with gr.Blocks():
        return run_panel.build(context(), none="runs.pick")


class Page:
    """One visitor: keeps what its panel shows, as the browser does."""

    def __init__(self, folder: Path | str) -> None:
        self.panel = drawn_panel()
        self.names = [part.elem_id or type(part).__name__ for part in self.panel.outputs]
        self.given: list[Any] = [str(folder), "en", "loss", False, "", []]
        self.before: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """The updates of one tick by element id."""
        *updates, self.before = self.panel.refresh(*self.given, self.before)
        sent = dict(zip(self.names, updates, strict=False))
        return {name: update for name, update in sent.items() if update != SKIP}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in saves/ of a fresh working folder, with three logged steps."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(run_look, "CHART_S", 0.0)
    path = tmp_path / "saves/model/lora/first"
    path.mkdir(parents=True)
    (path / run_folder.RUN).write_text("{}")
    (path / run_folder.LOG).write_text("hello\nworld\n")
    for step in (1, 2, 3):
        metrics.append(path / run_folder.METRICS, Metrics(step=step, loss=1.0, tokens=step))
    return path


@pytest.fixture
def view(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the run's view says; change it and the next look sees it."""
    told: dict[str, Any] = {
        "path": folder,
        "name": folder.name,
        "model": "model",
        "method": "lora",
        "task": "train",
        "created": "",
        "sequence": 1,
        "state": State.RUNNING,
        "reason": None,
        "step": 3,
        "total_steps": 10,
        "phase": "training",
    }
    monkeypatch.setattr(runs, "view", lambda path: RunView(**told))
    return told


def test_a_second_look_sends_nothing(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    first = page.look()
    assert first["train-run-state"]["value"] == "Running: training"
    assert first["train-run-log"]["value"] == "hello\nworld"
    assert 'value="30"' in first["train-run-progress"]["value"]
    assert page.look() == {}


def test_only_what_is_new_is_sent(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    page.look()
    with (folder / run_folder.LOG).open("a") as log:
        log.write("more\n")
    assert page.look().keys() == {"train-run-log"}
    metrics.append(folder / run_folder.METRICS, Metrics(step=4, loss=0.5, tokens=4))
    sent = page.look()
    assert sent.keys() == {"train-run-chart"}
    assert json.loads(sent["train-run-chart"].plot)["data"][0]["x"] == [1, 2, 3, 4]


def test_curves_are_not_drawn_too_often(
    folder: Path, view: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_look, "CHART_S", 60.0)
    page = Page(folder)
    page.look()
    metrics.append(folder / run_folder.METRICS, Metrics(step=4, loss=0.5, tokens=4))
    assert page.look() == {}
    page.given[2] = "memory"
    assert "train-run-chart" in page.look()
    view["state"] = State.SUCCEEDED
    assert "train-run-chart" in page.look()


def test_the_language_changes_every_text(folder: Path, view: dict[str, Any]) -> None:
    view["reason"] = Problem(code="no_gpu")
    page = Page(folder)
    page.look()
    page.given[1] = "zh"
    sent = page.look()
    assert sent["train-run-state"]["value"] == "运行中：训练"
    assert sent["train-run-problem"]["value"] == Problem(code="no_gpu").text("zh")
    assert "训练" in sent["train-run-chart"].plot


@pytest.mark.parametrize(
    ("state", "files", "shown"),
    [
        (State.STARTING, "", {"stop"}),
        (State.RUNNING, "checkpoint", {"stop"}),
        (State.STOPPING, "checkpoint", {"stop"}),
        (State.SUCCEEDED, "checkpoint adapter", {"chat", "again"}),
        (State.STOPPED, "checkpoint adapter", {"resume", "chat", "again"}),
        (State.STOPPED, "", {"again"}),
        (State.FAILED, "checkpoint", {"resume", "again"}),
        (State.FAILED, "", {"again"}),
        (State.OUT_OF_MEMORY, "checkpoint", {"restart", "resume", "again"}),
        (State.OUT_OF_MEMORY, "", {"restart", "again"}),
        (State.KILLED, "checkpoint", {"resume", "again"}),
        (State.LOST, "", {"again"}),
    ],
)
def test_buttons_fit_the_state(
    folder: Path, view: dict[str, Any], state: State, files: str, shown: set[str]
) -> None:
    """Resume where there is a checkpoint, Chat where there is a result, the cure where one fits."""
    view.update(state=state, arguments=arguments.defaults("train"))
    runs.forget()
    if "checkpoint" in files:
        (folder / "checkpoint-3").mkdir()
        (folder / "checkpoint-3" / "state.json").write_text("{}")
        run_folder.write_manifest(folder / "checkpoint-3")
    if "adapter" in files:
        (folder / "adapter_config.json").write_text("{}")
    sent = Page(folder).look()
    names = ("restart", "stop", "resume", "chat", "again")
    assert {name for name in names if sent[f"train-run-{name}"]["visible"]} == shown
    assert sent["train-run-stop"]["interactive"] == (state != State.STOPPING)
    assert sent["Timer"].active != state.ended, "what has ended is not asked for again"


def test_an_export_has_no_curves_and_cannot_be_resumed(folder: Path, view: dict[str, Any]) -> None:
    view.update(task="export", state=State.FAILED)
    sent = Page(folder).look()
    assert "train-run-chart" not in sent
    assert not sent["train-run-resume"]["visible"]


def test_no_run_and_a_folder_that_is_gone(folder: Path, view: dict[str, Any]) -> None:
    for path in ("", folder.parent / "gone"):
        sent = Page(path).look()
        assert sent["train-run-none"]["visible"]
        assert not sent["train-run-body"]["visible"]
        assert not sent["Timer"].active


def test_search_without_a_match_says_so(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    page.look()
    page.given[4] = "WORLD"
    assert page.look()["train-run-log"]["value"] == "world"
    page.given[4] = "absent"
    assert "absent" in page.look()["train-run-log"]["value"]


def test_a_notice_is_no_failure(folder: Path, view: dict[str, Any]) -> None:
    view["reason"] = Problem(code="no_gpu", notice=True)
    sent = Page(folder).look()
    assert not sent["train-run-problem"]["visible"]
    assert sent["train-run-notices"]["visible"]


def test_several_panels_on_one_page_have_ids_of_their_own() -> None:
    with gr.Blocks() as page:
        shared = context()
        for prefix in ("train", "eval", "export"):
            run_panel.build(shared, prefix=prefix)
    ids = [block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert len(ids) == len(set(ids)) > 3 * 15
    assert {"train-run-chart-kind", "eval-run-log", "export-run-stop"} <= set(ids)
    assert len(charts.KINDS) == 4


def test_news_leave_the_run_that_is_shown(folder: Path) -> None:
    """News of runs fill an empty panel, and write nothing into one that shows a run.

    Both the news of a start and its answer come as a run's folder is made: a panel that wrote back
    what it had read showed the run before for good, with the new one going on unseen.
    """
    shown = context()
    with gr.Blocks() as page:
        panel = run_panel.build(shown, prefix="train")
    (newest,) = [event.fn for event in page.fns.values() if event.outputs == [panel.run]]
    assert newest is not None
    runs.forget()
    assert newest("") == SKIP  # its run is no training
    (folder / run_folder.RUN).write_text(json.dumps({"kind": "train"}))
    runs.forget()
    assert newest("") == str(folder)
    assert newest("saves/model/lora/other") == SKIP
