"""A run's folder: made whole or not at all, read whatever it holds; whole checkpoints."""

import json
import os
import stat
from pathlib import Path

import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.runs import checkpoints, metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_folder import State, read, request_stop, runs
from backend.contract.system import files, processes
from backend.contract.texts.locales import has
from backend.contract.texts.problems import RunFolderError

FILES = ("run.json", "launch.json", "status.json", "exit.json", "problem.json", "stop.json")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


def values(**given: object) -> Values:
    chosen = {"model_name_or_path": "org/m", "dataset": "d", **given}
    return {**arguments.defaults("train"), **chosen}


def made(path: Path, sequence: int = 0, **given: object) -> Path:
    chosen = values(**given)
    command = Command.build("train", chosen)
    run_folder.create(path, task="train", values=chosen, command=command, sequence=sequence)
    return path


def test_what_the_launcher_writes(home: Path) -> None:
    path = made(home / "saves" / "m" / "lora" / "r", lora_rank=16, hf_hub_token="CANARY")
    row = json.loads((path / "run.json").read_bytes())
    assert row["schema"] == 1
    assert row["kind"] == "train"
    assert row["arguments"]["lora_rank"] == 16
    assert row["arguments"]["lora_alpha"] == 32
    assert row["argv"][:2] == ["tuneboard", "train"]
    assert {"python", "platform"} <= set(row["versions"])
    assert arguments.from_yaml(str(path / "args.yaml"), "train")[0]["lora_rank"] == 16
    assert os.access(path / "command.sh", os.X_OK)
    assert 'HF_TOKEN="$HF_TOKEN"' in (path / "command.sh").read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not any(b"CANARY" in file.read_bytes() for file in path.iterdir())


def test_an_empty_folder_may_be_used(home: Path) -> None:
    (home / "out").mkdir()
    assert (made(home / "out") / "run.json").exists()


@pytest.mark.parametrize("kind", ["file in it", "hidden file in it", "is a file", "dangling link"])
def test_what_is_there_is_not_touched(kind: str, home: Path) -> None:
    path = home / "out"
    if kind == "is a file":
        path.write_text("mine")
    elif kind == "dangling link":
        path.symlink_to(home / "nowhere")
    else:
        path.mkdir()
        (path / (".x" if kind.startswith("hidden") else "x")).write_text("mine")
    before = sorted(home.rglob("*"))
    with pytest.raises(RunFolderError) as error:
        made(path)
    assert error.value.problems[0].code == "output_dir_in_use"
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("empty_before", [False, True])
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_failure_leaves_nothing(
    fails_at: int, empty_before: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the first, second or third file: gone with the parents that were made."""
    path = home / "saves" / "m" / "lora" / "r"
    if empty_before:
        path.mkdir(parents=True)
    before = sorted(home.rglob("*"))
    write, calls = files.write_atomic, []

    def failing(target: Path, content: str | bytes) -> None:
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device")
        write(target, content)

    monkeypatch.setattr(run_folder, "write_atomic", failing)
    with pytest.raises(RunFolderError, match="No space left"):
        made(path)
    assert len(calls) == fails_at
    assert sorted(home.rglob("*")) == before


def test_a_failed_overwrite_puts_the_old_run_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(home / "saves" / "m" / "lora" / "r")
    (path / "exit.json").write_text('{"code": 0}')
    before = {file.name: file.read_bytes() for file in path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_folder, "write_atomic", full)
    for given in ({"overwrite_output_dir": True}, {"resume_from_checkpoint": "auto"}):
        with pytest.raises(RunFolderError):
            made(path, **given)
        kept = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
        assert kept == before


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content",
    [None, b"", b"null", b"[1]", b'{"step": ', b"\xff\xfe\x00", b'{"pid": -1}', b"{}", "folder"],
)
def test_reading_never_raises(name: str, content: bytes | str | None, home: Path) -> None:
    """R-17: one file missing, torn, foreign, or a folder; the others are whole."""
    path = made(home / "saves" / "m" / "lora" / "r")
    whole = {
        "launch.json": {"child": {"pid": 999999, "started": 1}, "boot_id": processes.boot_id()},
        "status.json": {"step": 3, "total": 9, "eta": 1.5, "notices": [{"code": "no_gpu"}, 7]},
        "exit.json": {"code": 1, "seconds": 2.5},
        "problem.json": {"code": "no_checkpoint"},
        "stop.json": {},
    }
    for file, row in whole.items():
        (path / file).write_text(json.dumps(row))
    (path / name).unlink()
    if content == "folder":
        (path / name).mkdir()
    elif content is not None:
        (path / name).write_bytes(content)
    view = read(path)
    assert view.state in State
    if view.reason:
        assert has(f"problem.{view.reason.code}")
    assert len(runs(home / "saves")) == (1 if (path / "run.json").exists() else 0)
    if name != "status.json":
        assert (view.step, view.total_steps, len(view.notices)) == (3, 9, 1)


@pytest.mark.parametrize(
    ("state", "status", "rows", "expected"),
    [
        (
            "failed",
            {"phase": "tokenizing", "counted": "tokenizing", "step": 6, "total": 6},
            0,
            (0, 0),
        ),
        ("failed", {"phase": "loading", "counted": "tokenizing"}, 0, (0, 0)),
        (
            "failed",
            {"phase": "tokenizing", "counted": "tokenizing", "step": 6, "total": 6},
            20,
            (20, 0),
        ),
        (
            "failed",
            {"phase": "training", "counted": "training", "step": 3, "total": 40},
            3,
            (3, 40),
        ),
        (
            "killed",
            {"phase": "saving", "counted": "training", "step": 20, "total": 40},
            20,
            (20, 40),
        ),
        ("killed", {}, 7, (7, 0)),
        (
            "succeeded",
            {"phase": "saving", "counted": "training", "step": 40, "total": 40},
            40,
            (40, 40),
        ),
        ("succeeded", {}, 7, (7, 7)),
    ],
)
def test_the_steps_of_an_ended_run(
    state: str,
    status: dict[str, object],
    rows: int,
    expected: tuple[int, int],
    home: Path,
) -> None:
    """A run that failed while it read six rows of data was shown with "6 / 6" steps; one that had
    failed after a resume with as many in all as it had done."""
    path = made(home / "saves" / "m" / "lora" / "r")
    (path / "status.json").write_text(json.dumps(status))
    exits = {"failed": {"code": 3}, "killed": {"signal": 9}, "succeeded": {"code": 0}}
    (path / "exit.json").write_text(json.dumps(exits[state]))
    for step in range(1, rows + 1):
        metrics.append(path / "metrics.jsonl", Metrics(step=step, loss=1.0))
    view = read(path)
    assert (view.step, view.total_steps) == expected
    assert view.rows == (0, 0)


def test_recorded_arguments_that_are_none_here_stay_in_the_record_alone(home: Path) -> None:
    """run.json may be of another version, or edited."""
    path = made(home / "saves" / "m" / "lora" / "r", lora_rank=16, stage="dpo")
    row = json.loads((path / "run.json").read_bytes())
    foreign = {"stage": 7, "of_another_version": 1}
    (path / "run.json").write_text(json.dumps({**row, "arguments": row["arguments"] | foreign}))
    view = read(path)
    assert (view.arguments.stage, view.arguments.lora_rank) == ("sft", 16)
    assert "stage" not in view.arguments
    assert dict(view.recorded).items() >= foreign.items()


def test_while_the_data_is_read_rows_are_counted(home: Path) -> None:
    path = made(home / "saves" / "m" / "lora" / "r")
    row = {"phase": "tokenizing", "counted": "tokenizing", "step": 4, "total": 6}
    (path / "status.json").write_text(json.dumps(row))
    (path / "supervisor.log").touch()
    view = read(path)
    assert not view.ended
    assert (view.step, view.total_steps, view.rows) == (0, 0, (4, 6))


def test_resume_is_only_offered_where_there_is_a_checkpoint(home: Path) -> None:
    """With its step; a torn one counts as none, and a run that is done or another task is none."""
    path = made(home / "saves" / "m" / "lora" / "r")
    (path / "exit.json").write_text('{"signal": 9}')

    def said() -> tuple[str, object] | None:
        problem = run_folder.resumption(read(path))
        return (problem.code, problem.params.get("step")) if problem else None

    assert said() == ("run_not_resumable", None)
    for step in (20, 40):
        target = path / f"checkpoint-{step}"
        target.mkdir()
        (target / "state.json").write_text("{}")
        run_folder.write_manifest(target)
    assert said() == ("run_resumable", 40)
    (path / "checkpoint-40" / "state.json").unlink()
    assert said() == ("run_resumable", 20)
    (path / "exit.json").write_text('{"code": 0}')
    assert said() is None


def test_a_folder_that_is_no_run(home: Path) -> None:
    assert read(home / "nowhere").ended
    assert runs(home / "nowhere") == []


def test_the_newest_first_whatever_the_clock_did(home: Path) -> None:
    """R-13: by number, not by time; hidden folders and models are no runs."""
    for number in (2, 3, 1):
        path = made(home / "saves" / "m" / "lora" / f"r{number}", sequence=number)
        row = json.loads((path / "run.json").read_bytes())
        row["created"] = f"20{30 - number}-01-01T00:00:00+00:00"
        (path / "run.json").write_text(json.dumps(row))
    for other in (".trash/x/y", "models/x/y", "m/lora/.hidden"):
        made(home / "saves" / other)
    assert [view.name for view in runs(home / "saves")] == ["r3", "r2", "r1"]


def test_a_stop_is_asked_once(home: Path) -> None:
    path = made(home / "out")
    assert request_stop(path, grace=5)
    assert not request_stop(path, grace=1)
    assert json.loads((path / "stop.json").read_bytes())["grace"] == 5


def test_the_grace_follows_the_pace(home: Path) -> None:
    """Slow steps get the time that they need; quick ones a minute."""
    path = made(home / "out")
    rows = [f'{{"step": {step}, "time": {step * 100}}}\n' for step in (1, 2)]
    (path / "metrics.jsonl").write_text("".join(rows))
    request_stop(path)
    assert json.loads((path / "stop.json").read_bytes())["grace"] == 330
    other = made(home / "other")
    request_stop(other)
    assert json.loads((other / "stop.json").read_bytes())["grace"] == 60


def saved(run: Path, step: int) -> Path:
    folder = run / f"checkpoint-{step}"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w" * 1000)
    (folder / "sub" / "more.bin").write_bytes(b"m" * 10)
    history = [
        {"step": 1, "eval_loss": 9.0},
        {"step": step, "loss": 2.0},
        {"step": step, "eval_loss": 0.5},
    ]
    state = {"global_step": step, "epoch": 1.5, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    checkpoints.write_manifest(folder)
    return folder


def test_whole_checkpoints_are_offered(home: Path) -> None:
    for step in (10, 9, 100):
        saved(home, step)
    (home / "checkpoint-7").mkdir()  # no manifest: the save was cut off
    (home / "checkpoint-x").mkdir()
    found = run_folder.checkpoints(home)
    assert [point.step for point in found] == [9, 10, 100]
    assert (found[0].eval_loss, found[0].epoch) == (0.5, 1.5)
    for point in found:
        run_folder.verify(point.path)


@pytest.mark.parametrize(
    "damage", ["shorter", "longer", "empty", "gone", "link", "manifest", "outside"]
)
def test_damage_that_shows_at_a_look(damage: str, home: Path) -> None:
    folder = saved(home, 3)
    file = folder / "sub" / "more.bin"
    if damage in {"shorter", "longer", "empty"}:
        file.write_bytes({"shorter": b"m" * 9, "longer": b"m" * 11, "empty": b""}[damage])
    elif damage == "gone":
        file.unlink()
    elif damage == "link":
        (home / "elsewhere").write_bytes(b"m" * 10)
        file.unlink()
        file.symlink_to(home / "elsewhere")
    elif damage == "outside":
        (home / "other").write_bytes(b"x")
        row = {"step": 3, "files": {"../other": {"size": 1, "sha256": ""}}}
        (folder / "manifest.json").write_text(json.dumps(row))
    else:
        (folder / "manifest.json").write_text('{"step": 3, "fi')
    assert run_folder.checkpoints(home) == []
    (problem,) = run_folder.find_damaged(home)
    assert "checkpoint-3" in problem.text()
    with pytest.raises(RunFolderError):
        run_folder.verify(folder)


def test_damage_that_only_the_hash_shows(home: Path) -> None:
    folder = saved(home, 3)
    file = folder / "weights.bin"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)
    assert len(run_folder.checkpoints(home)) == 1
    with pytest.raises(RunFolderError, match=r"weights\.bin"):
        run_folder.verify(folder)
