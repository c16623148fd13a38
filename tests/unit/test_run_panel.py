"""What a run's panel is told: all at first, then what has changed, in the page's language."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.services.page import run_feed
from app.services.page.run_feed import Question
from app.services.runs import curves, hardware, history, runs
from app.services.runs.hardware import Snapshot
from backend.contract.arguments import arguments
from backend.contract.models.devices import Gpu
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import Checkpoint, RunView, State
from backend.contract.texts.locales import has, languages
from backend.contract.texts.problems import Problem

LOSS = ("loss", "eval_loss")


class Page:
    """One visitor: keeps stamp and cursors, as the browser does."""

    def __init__(self, folder: Path) -> None:
        self.known: dict[str, Any] = {"folder": folder, "lang": "en", "series": LOSS}

    def look(self, **changes: Any) -> dict[str, Any]:
        """What is answered to one look."""
        self.known |= changes
        answer = run_feed.answer(Question(**self.known))
        cursors = {name: answer[name]["cursor"] for name in ("metrics", "log") if name in answer}
        self.known |= {"stamp": answer["stamp"], **cursors}
        return {name: part for name, part in answer.items() if name != "stamp"}


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
    runs.forget()
    return told


def test_a_second_look_is_answered_with_a_stamp(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    first = page.look()
    assert first["head"]["state"] == "Running: training"
    assert first["head"]["kind"] == "running"
    assert first["head"]["share"] == 0.3
    assert first["log"]["text"] == "hello\nworld"
    assert first["metrics"]["lines"]["loss"]["x"] == [1, 2, 3]
    assert page.look() == {}


def test_only_what_is_new_is_sent(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    page.look()
    with (folder / run_folder.LOG).open("a") as log:
        log.write("more\n")
    second = page.look()
    assert second.keys() == {"log"}
    assert (second["log"]["text"], second["log"]["anew"]) == ("more", False)
    metrics.append(folder / run_folder.METRICS, Metrics(step=4, loss=0.5, tokens=4))
    third = page.look()
    assert third.keys() == {"head", "metrics"}, "the tiles tell the new loss"
    assert third["metrics"]["lines"] == {"loss": {"x": [4], "y": [0.5]}}
    assert not third["metrics"]["anew"]


def test_rows_that_were_written_anew_are_read_anew(folder: Path, view: dict[str, Any]) -> None:
    """A resumed run cuts its rows back, and goes on from there."""
    page, file = Page(folder), folder / run_folder.METRICS
    page.look()
    file.unlink()
    for step in range(1, 9):
        metrics.append(file, Metrics(step=step, loss=2.0, tokens=step))
    news = page.look()["metrics"]
    assert news["anew"]
    assert news["lines"]["loss"]["y"] == [2.0] * 8


def test_other_series_are_read_whole(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    page.look()
    news = page.look(series=("memory",), metrics="")
    assert news["metrics"]["anew"]
    assert news["metrics"]["lines"].keys() == {"memory"}


def test_many_new_rows_come_thinned(folder: Path, view: dict[str, Any]) -> None:
    """A page that was hidden for hours gets the lines anew, not each of their points."""
    page = Page(folder)
    page.look()
    rows = (metrics.encode(Metrics(step=step, loss=1.0)) for step in range(4, 9000))
    with (folder / run_folder.METRICS).open("ab") as file:
        file.write(b"".join(rows))
    news = page.look()["metrics"]
    assert news["anew"]
    assert len(news["lines"]["loss"]["x"]) <= curves.MAX_POINTS
    assert page.look() == {}


def test_a_poll_is_small_and_quick(folder: Path, view: dict[str, Any]) -> None:
    """Of a run of 50,000 rows and a log of 20 MB: what is new, in bytes and milliseconds."""
    rows = (metrics.encode(Metrics(step=step, loss=1.0, tokens=1)) for step in range(4, 50_000))
    with (folder / run_folder.METRICS).open("ab") as file:
        file.write(b"".join(rows))
    with (folder / run_folder.LOG).open("ab") as log:
        log.write(b"a line of a log that is neither long nor short\n" * 400_000)
    page = Page(folder)
    page.look()
    times, sizes = [], []
    for step in range(50_000, 50_020):
        metrics.append(folder / run_folder.METRICS, Metrics(step=step, loss=1.0, tokens=1))
        with (folder / run_folder.LOG).open("ab") as log:
            log.write(b"step %d\n" % step * 1000)
        start = time.process_time()
        answer = page.look()
        times.append(time.process_time() - start)
        sizes.append(len(json.dumps(answer)))
        assert {"metrics", "log"} <= answer.keys()
    assert max(sizes) < 20_000
    assert sorted(times)[10] < 0.02  # 2 ms on a machine that does nothing else


def test_the_language_changes_every_text(folder: Path, view: dict[str, Any]) -> None:
    view["reason"] = Problem(code="no_gpu")
    page = Page(folder)
    page.look()
    news = page.look(lang="zh")
    assert news["head"]["state"] == "运行中：训练"
    assert news["head"]["problem"] == Problem(code="no_gpu").text("zh")
    assert "metrics" not in news


@pytest.mark.parametrize(
    ("state", "files", "shown"),
    [
        (State.STARTING, "", ["stop"]),
        (State.RUNNING, "checkpoint", ["stop"]),
        (State.STOPPING, "checkpoint", ["stop"]),
        (State.SUCCEEDED, "checkpoint adapter", ["*chat", "evaluate", "export", "again"]),
        (
            State.STOPPED,
            "checkpoint adapter",
            ["*resume", "chat", "evaluate", "export", "again"],
        ),
        (State.STOPPED, "", ["again"]),
        (State.FAILED, "checkpoint", ["*resume", "again"]),
        (State.FAILED, "", ["again"]),
        (State.OUT_OF_MEMORY, "checkpoint", ["*restart", "resume", "again"]),
        (State.OUT_OF_MEMORY, "", ["*restart", "again"]),
        (State.KILLED, "checkpoint", ["*resume", "again"]),
        (State.LOST, "", ["again"]),
    ],
)
def test_buttons_fit_the_state(
    folder: Path, view: dict[str, Any], state: State, files: str, shown: list[str]
) -> None:
    """Resume where there is a checkpoint, what goes on where there is a result, the fix where one
    fits; the first that helps is bright."""
    view.update(state=state, recorded=arguments.defaults("train"))
    if "checkpoint" in files:
        (folder / "checkpoint-3").mkdir()
        (folder / "checkpoint-3" / "state.json").write_text("{}")
        run_folder.write_manifest(folder / "checkpoint-3")
    if "adapter" in files:
        (folder / "adapter_config.json").write_text("{}")
    head = Page(folder).look()["head"]
    buttons = head["buttons"]
    assert ["*" * each["primary"] + each["name"] for each in buttons] == shown
    assert {each["enabled"] for each in buttons} == {state != State.STOPPING}
    assert head["ended"] == state.ended, "what has ended is not asked for again"
    assert head["resumable"] == (state.ended and "checkpoint" in files)


def test_a_failed_run_tells_what_helps(folder: Path, view: dict[str, Any]) -> None:
    """In words, or as a command; the button says that it changes something."""

    def head(code: str, **params: Any) -> Any:
        view["reason"] = Problem(code=code, params=params)
        return Page(folder).look()["head"]

    view.update(state=State.FAILED, recorded=arguments.defaults("train"))
    changed = head("loss_not_finite", step=3)
    assert "→" in changed["fix"]
    assert changed["buttons"][-1]["text"] == "Set up again with this change"
    command = head("package_missing", package="galore-torch")
    assert command["fix"] == "pip install galore-torch"
    assert command["buttons"][-1]["text"] == "Set up again"
    view["state"] = State.SUCCEEDED
    assert head("package_missing", package="galore-torch")["fix"] == ""


def test_an_export_has_no_curves_and_cannot_be_resumed(folder: Path, view: dict[str, Any]) -> None:
    view.update(task="export", state=State.FAILED)
    answer = Page(folder).look()
    assert answer["curves"] is None
    assert answer["head"]["buttons"] == []
    assert [tile["title"] for tile in answer["head"]["tiles"]] == []


def test_before_the_first_step_it_is_said_since_when(folder: Path, view: dict[str, Any]) -> None:
    view.update(step=0, total_steps=0, phase="loading", elapsed=75.0, eta=None)
    head = Page(folder).look()["head"]
    assert head["state"] == "Running: loading the model"
    assert head["share"] is None
    assert "1:15 ago" in head["progress"]
    view["step"] = 1
    assert "ago" not in Page(folder).look()["head"]["progress"]


def test_time_left_is_told_after_several_steps(folder: Path, view: dict[str, Any]) -> None:
    """The first step warms up: what follows from its pace is wrong by a multiple."""

    def left(**changes: Any) -> Any:
        view.update(changes)
        tile = Page(folder).look()["head"]["tiles"][0]
        assert tile["title"] == "Time left"
        return tile["value"]

    assert left(step=1, eta=3600.0) == "–"
    assert left(step=5, eta=65.0) == "1:05"
    assert left(step=0, rows=(5, 100), eta=65.0) == "1:05", "rows are read at one pace"
    view.update(state=State.SUCCEEDED, elapsed=12.0)
    assert Page(folder).look()["head"]["tiles"][0] == {"title": "Took", "value": "0:12", "note": ""}


def test_tiles_tell_the_loss_now_and_at_its_best(folder: Path, view: dict[str, Any]) -> None:
    def tiles() -> Any:
        rows = Page(folder).look()["head"]["tiles"]
        return [(tile["title"], tile["value"], tile["note"]) for tile in rows[2:]]

    assert tiles() == [("Loss", "1.0000", ""), ("Lowest loss", "1.0000", "step 1")]
    file = folder / run_folder.METRICS
    for step, loss in ((4, 0.75), (5, 0.5), (6, 0.625)):
        metrics.append(file, Metrics(step=step, loss=loss * 2, tokens=step))
        metrics.append(file, Metrics(step=step, eval_loss=loss))
    assert tiles() == [("Loss", "1.2500", ""), ("Best eval loss", "0.5000", "step 5")]


def test_gpus_are_shown_while_a_run_goes_on(
    folder: Path, view: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(index=0, name="A", used=12 * 2**30, total=24 * 2**30, load=87, temperature=65)
    now = Snapshot(gpus=(gpu,), disk_free=80 * 10**9)
    monkeypatch.setattr(hardware, "snapshot", lambda: now)
    page = Page(folder)
    machine = page.look()["machine"]
    assert machine["rows"] == [["0 A", "87 %", "12.0 / 24 GB", "65 °C", "–"]]
    assert len(machine["columns"]) == len(machine["rows"][0])
    assert "80 GB" in machine["disk"]
    view["state"] = State.SUCCEEDED
    assert page.look()["machine"] is None


def test_checkpoints_come_newest_first(
    folder: Path, view: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [Checkpoint(step, Path(f"checkpoint-{step}"), "bad") for step in (9, 10)]
    monkeypatch.setattr(runs, "checkpoints", lambda path: points)
    table = Page(folder).look()["points"]
    assert table["title"] == "Checkpoints (2)"
    assert table["rows"] == [["checkpoint-10", "–", "–"], ["checkpoint-9", "–", "–"]]


def test_search_without_a_match_says_so(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    page.look()
    assert page.look(search="WORLD", log="")["log"]["text"] == "world"
    log = page.look(search="absent", log="")["log"]
    assert log["text"] == ""
    assert "absent" in log["note"]


def test_a_notice_is_no_failure(folder: Path, view: dict[str, Any]) -> None:
    view["reason"] = Problem(code="no_gpu", notice=True)
    head = Page(folder).look()["head"]
    assert head["problem"] == ""
    assert head["notices"] == Problem(code="no_gpu", notice=True).text("en")


def test_metrics_come_as_they_are_logged(folder: Path, view: dict[str, Any]) -> None:
    page = Page(folder)
    assert page.look()["curves"]["metrics"] == []
    more = {"kl": 0.5, "reward": 1.0, "<img src=x>": 2.0}
    row = Metrics(step=4, loss=1.0, tokens=4, more=more)
    metrics.append(folder / run_folder.METRICS, row)
    listed = page.look()["curves"]["metrics"]
    assert [metric["name"] for metric in listed] == ["reward", "kl", "<img src=x>"]
    assert [bool(metric["meaning"]) for metric in listed] == [True, True, False]
    news = page.look(series=("kl", "eval_kl"), metrics="")["metrics"]
    assert news["lines"]["kl"]["x"] == [4]


def test_every_known_metric_is_explained_in_every_language() -> None:
    assert len(curves.KNOWN) > 10
    for name in curves.KNOWN:
        assert has(f"metric.{name.replace('/', '.')}")
        assert all(run_feed._meaning(name, lang) for lang in languages())


def test_names_are_gathered_as_rows_come(tmp_path: Path) -> None:
    def log(step: int, **more: float) -> None:
        row = Metrics(step=step, loss=1.0, more={"kl": 0.5, "reward": 1.0, **more})
        metrics.append(tmp_path / run_folder.METRICS, row)

    log(1)
    assert history.read(tmp_path).metrics == ("kl", "reward")
    log(2, eval_kl=1.0)
    assert history.read(tmp_path).metrics == ("kl", "reward", "eval_kl")
    (tmp_path / run_folder.METRICS).unlink()
    metrics.append(tmp_path / run_folder.METRICS, Metrics(step=1, more={"other": 1.0}))
    for step in range(2, 40):
        metrics.append(tmp_path / run_folder.METRICS, Metrics(step=step, loss=1.0))
    assert history.read(tmp_path).metrics == ("other",)
