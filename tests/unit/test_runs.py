"""One look at the disk for all pages, curves that follow a growing file, words for a run."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from app.services.runs import history, run_text, runs
from app.services.runs.listed_run import ListedRun
from app.services.runs.run_list import RunList, Snapshot
from app.tabs.run import runs as tab
from app.tabs.run.runs import act, list_runs
from backend.contract.runs import metrics, run_folder, run_view
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import RunView, State
from backend.contract.runs.run_view import Progress
from backend.contract.texts.locales import t


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    runs.forget()


def _view(path: Path, **given: Any) -> RunView:
    return RunView(**_fields(path) | {"reason": None} | given)


def _list(path: Path, **given: Any) -> ListedRun:
    return ListedRun(**_fields(path) | given)


def _fields(path: Path) -> dict[str, Any]:
    return {
        "path": path,
        "name": path.name,
        "model": path.parent.parent.name,
        "method": path.parent.name,
        "task": "train",
        "created": "2026-11-22T10:00:00+00:00",
        "sequence": 1,
        "state": State.RUNNING,
    }


def test_all_pages_share_one_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    looks = []
    snapshot = Snapshot([])
    monkeypatch.setattr(RunList, "look", lambda self: looks.append(self) or snapshot)
    for _ in range(200):
        assert runs.list_runs() == []
    assert len(looks) == 1
    runs.forget()
    runs.snapshot()
    assert len(looks) == 2


def test_the_run_that_goes_on_is_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [
        _list(Path("/s/m/lora/newest"), sequence=3, state=State.SUCCEEDED),
        _list(Path("/s/m/lora/going"), sequence=2),
        _list(Path("/s/m/lora/other"), sequence=4, task="export"),
    ]
    monkeypatch.setattr(runs, "list_runs", lambda: listed)
    assert runs.latest("train") == Path("/s/m/lora/going")
    assert runs.latest("eval") is None


def test_only_new_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / run_folder.METRICS
    for step in range(1, 4):
        metrics.append(file, Metrics(step=step, loss=1.0))
    first = history.read(tmp_path)
    parsed: list[bytes] = []
    parse = history._parse
    monkeypatch.setattr(history, "_parse", lambda lines: parsed.append(lines) or parse(lines))
    assert history.read(tmp_path) is first
    metrics.append(file, Metrics(step=4, loss=1.0))
    now = history.read(tmp_path)
    assert [row.step for row in now.recent] == [1, 2, 3, 4]
    assert history.read_lines(tmp_path, ["loss"])[0]["loss"].x == [1, 2, 3, 4]
    assert len(parsed) == 1
    assert parsed[0] == file.read_bytes()[first.offset : -1]


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    """Resuming cuts metrics.jsonl back; a cached curve must not keep the steps that were cut."""
    file = tmp_path / run_folder.METRICS
    for step in range(1, 9):
        metrics.append(file, Metrics(step=step, loss=1.0, time=float(step)))
    assert len(history.read(tmp_path).recent) == 8
    assert history.read_lines(tmp_path, ["time"])[0]["time"].x[-1] == 8
    kept = file.read_bytes().splitlines(keepends=True)[:4]
    file.write_bytes(b"".join(kept))
    for step in range(5, 12):  # longer than before: the size alone would not tell
        metrics.append(file, Metrics(step=step, loss=2.0, time=100.0 + step))
    rows = history.read(tmp_path).recent
    assert [row.step for row in rows] == list(range(1, 12))
    assert rows[5].loss == 2.0
    lines, _ = history.read_lines(tmp_path, ["loss", "time"])
    assert lines["loss"].y == [1.0] * 4 + [2.0] * 7
    assert lines["time"].x == list(range(1, 12))


FOREIGN = (
    b"",
    b"not json\n",
    b"3\n",
    b'{"loss": 1.0}\n',
    b'{"step": "4", "loss": 1.0}\n',
    b'{"step": true}\n',
    b'{"step": 4, "loss": NaN}\n',
    b'{"step": 4, "loss": "nan", "tokens": 1, "kl": "x"}\n',
    b'{"step": 4, "loss": "1.0", "tokens": 1}\n',
    b'{"step": 4, "eval_loss": "inf", "mine": "-inf"}\n',
    b'{"step": 4, "loss": null, "memory": false, "rewards/a": 1}\n',
    b'{"step": 123456789012345678901234567890, "loss": 2}\n',
    b"\xff\xfe\n\n\r\n",
    b'{"step": 4, "lo\n{"step": 5, "loss": 0.5}\n',
    b"[" * 100_000 + b"\n",
    b'{"step": 9, "loss": 1.5}',
)


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize("chunk", [1, 64 * 1024])
def test_many_rows_at_once_are_read_as_each_alone(
    content: bytes, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file holds, the quick way through it says what the plain one does."""
    monkeypatch.setattr(history, "CHUNK", chunk)
    file = tmp_path / run_folder.METRICS
    for step in range(1, 4):
        metrics.append(file, Metrics(step=step, loss=2.5, tokens=step, more={"kl": 1.0}))
    with file.open("ab") as stream:
        stream.write(content)
    rows, offset = metrics.read(file)
    known = history.read(tmp_path)
    assert repr([*known.recent]) == repr(rows)
    assert known.offset == offset
    losses = [row.loss for row in rows if row.loss is not None]
    assert repr(known.loss) == repr(losses[-1])
    finite = [(row.loss, row.step) for row in rows if row.loss and math.isfinite(row.loss)]
    assert known.lowest == min(finite, key=lambda low: low[0])
    assert set(known.metrics) == {name for row in rows for name in row.more}
    lines, _ = history.read_lines(tmp_path, ["memory", "kl"])
    assert lines["kl"].x == [row.step for row in rows if "kl" in row.more]
    assert lines["memory"].x == []


def test_the_first_look_at_many_rows_is_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand rows: each line is parsed once, none of them alone."""
    content = b"".join(metrics.encode(Metrics(step=step, loss=1.0)) for step in range(100_000))
    (tmp_path / run_folder.METRICS).write_bytes(content)
    sizes: list[int] = []
    parse = history._parse
    monkeypatch.setattr(history, "_parse", lambda lines: sizes.append(len(lines)) or parse(lines))
    monkeypatch.setattr(metrics, "parse", None)
    history.read(tmp_path)
    lines, offset = history.read_lines(tmp_path, ["loss", "eval_loss"])
    assert len(lines["loss"].x) == 100_000
    assert sum(sizes) + len(sizes) == offset == len(content)
    assert len(history.read(tmp_path).recent) == history.RECENT


def test_only_a_log_of_a_run_can_be_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "saves/model/lora/run one"
    folder.mkdir(parents=True)
    (folder / run_folder.RUN).write_text("{}")
    (folder / run_folder.LOG).write_text("text")
    (tmp_path / "saves/log.txt").write_text("no run")
    (tmp_path / "log.txt").write_text("outside")
    (tmp_path / "run.json").write_text("{}")
    assert runs.log_file("model/lora/run one") == folder / run_folder.LOG
    assert runs.log_link(folder) == "own/log?run=model/lora/run%20one"
    assert runs.log_link(tmp_path) == ""
    for name in ("", ".", "..", "../", str(tmp_path), "model/lora/run one/../../../..", "a\0b"):
        assert runs.log_file(name) is None
    (folder / run_folder.LOG).unlink()
    os.symlink(tmp_path / "log.txt", folder / run_folder.LOG)
    assert runs.log_file("model/lora/run one") is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0:00"), (70.4, "1:10"), (3599.6, "1:00:00"), (90_000, "1 d 01:00"), (-1, "–")],
)
def test_duration(seconds: float, words: str) -> None:
    assert run_view.duration(seconds) == words
    assert run_view.duration(seconds, "de") == words.replace(" d ", " T. ")


def test_progress_in_words() -> None:
    view = _view(Path("/r"), step=40, total_steps=96, eta=70.0, phase="training")
    row = Metrics(step=40, epoch=1.25, loss=1.0, tokens=9, tokens_per_second=236.2)
    share, words = run_view.progress(view, [row, Metrics(step=40, eval_loss=2.0)], "en")
    assert share == pytest.approx(40 / 96)
    assert words == "step 40 / 96 · epoch 1.25 · 1:10 left · 236 tokens/s"
    again = Metrics(step=41, epoch=1.25, loss=1.0, tokens=9)  # learned from what was read before
    assert run_view.progress(view, [row, again], "en").words == words
    reading = _view(Path("/r"), rows=(4, 6), phase="tokenizing")
    assert run_view.progress(reading, [], "en") == Progress(pytest.approx(4 / 6), "row 4 / 6")
    assert run_text.steps(view, "en") == "40 / 96"
    assert run_text.steps(_view(Path("/r"), step=20), "en") == "20"
    assert run_text.steps(reading, "en") == "–"
    assert "剩余 1:10" in run_view.progress(view, [row], "zh").words
    assert run_view.progress(_view(Path("/r")), [], "en") == (None, "")


def test_every_state_has_words() -> None:
    for state in State:
        view = _view(Path("/r"), state=state, phase="training")
        assert run_view.describe_state(view, "en") != run_view.describe_state(view, "zh")
    assert run_view.describe_state(_view(Path("/r"), phase="training"), "en") == "Running: training"
    assert run_view.describe_state(_view(Path("/r"), phase="x"), "en") == "Running"


def test_names_stay_text_in_markdown() -> None:
    shown = run_text.plain("<img src=x> *a* [b](javascript:c) \n# `d` $$e$$ | |")
    assert "\n" not in shown
    for mark in "<>*[]()#`$|":
        assert shown.count(mark) == shown.count("\\" + mark)


def test_the_list_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row says what can be done with its run; a request can name no other folder."""
    going = _list(tmp_path / "saves/Llama/lora/one", step=40, total_steps=1000)
    failed = _list(tmp_path / "Qwen/full/two", state=State.FAILED, task="eval")
    ended = _list(tmp_path / "Qwen/lora/three", state=State.SUCCEEDED, loss=1.5)
    listed = [going, failed, ended]
    monkeypatch.setattr(runs, "list_runs", lambda: listed)
    view = list_runs({}, "en")
    assert list_runs({}, "en").rows is view.rows
    assert [cell.number for cell in view.rows[2].cells[3:]] == [0, 1.5]
    first = view.rows[0]
    texts = [cell.text for cell in first.cells]
    assert texts[:4] == ["one", "Running", "Llama", "40 / 1,000"]
    assert [cell.detail for cell in first.cells][:3] == ["training", "", "lora"]
    assert [row.cells[1].tone for row in view.rows] == ["busy", "bad", "good"]
    assert [[each.name for each in row.actions] for row in view.rows] == [["stop"], [], ["again"]]
    going.path.mkdir(parents=True)
    (going.path / run_folder.RUN).write_text("{}")
    stopped: list[Path] = []
    monkeypatch.setitem(tab.ACTS, "stop", stopped.append)
    act("stop", first.key, {})
    assert act("stop", str(tmp_path), {})["en"] == t("runs.gone", "en")
    assert stopped == [going.path]


def test_a_run_with_a_checkpoint_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "checkpoints", lambda path: [path / "checkpoint-1"])
    assert runs.is_resumable(_view(tmp_path, state=State.STOPPED))
    assert not runs.is_resumable(_view(tmp_path, state=State.SUCCEEDED))
    assert not runs.is_resumable(_view(tmp_path))
    assert not runs.is_resumable(_view(tmp_path, state=State.STOPPED, task="eval"))
