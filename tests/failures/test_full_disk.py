"""C-02 on a real small disk (a tmpfs): the trainer itself, started by the command."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.problems import DiskFullError
from backend.training import checkpoints
from tests.backend.conftest import tiny_model_dir, tiny_tokenizer, write_dataset  # noqa: F401
from tests.backend.training import ROWS, train_small
from tests.failures.conftest import ended

ROOT = Path(__file__).parents[2]
PAGE = 4096
Disk = Callable[[int], None]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the set `sums`."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("TUNEBOARD_WORKER", raising=False)
    for name in ("data", "saves"):
        (tmp_path / name).mkdir()
    write_dataset(tmp_path, "sums", ROWS)
    return tmp_path


@pytest.fixture
def disk(home: Path) -> Iterator[Disk]:
    """Gives saves/ a disk of its own with so many bytes; a second call makes that disk larger."""
    saves, mounted = home / "saves", False

    def size(count: int) -> None:
        nonlocal mounted
        options = f"{'remount,' if mounted else ''}size={count},mode=0755"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(saves)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
        mounted = True

    yield size
    if mounted:
        subprocess.run(["umount", "--lazy", str(saves)], check=True)


def train(home: Path, model: Path, **given: object) -> tuple[int, Path]:
    """`tuneboard train`; its exit code and the run's folder."""
    folder = home / "saves" / "tiny" / "lora" / "run"
    given = {"max_steps": 40, "save_steps": 1, "gradient_accumulation_steps": 1, **given}
    given |= {"model_name_or_path": model, "dataset": "sums", "output_dir": folder}
    done = subprocess.run(
        [sys.executable, "-m", "backend", "train", *(f"{k}={v}" for k, v in given.items())],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, folder


def left(folder: Path) -> list[str]:
    """Everything of a model or a checkpoint that lies in a run's folder."""
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() or path.suffix == ".safetensors"
    )


def test_a_disk_that_fills_up_keeps_what_was_saved(
    home: Path,
    tiny_model_dir: Path,  # noqa: F811
    disk: Disk,
) -> None:
    """Refused with numbers before the save that has no room; with room again the run goes on."""
    disk(1_500_000)
    code, folder = train(home, tiny_model_dir)
    assert code == DiskFullError.exit_code
    view = run_folder.read(folder)
    assert view.state is State.FAILED
    assert view.reason is not None
    assert view.reason.code == "disk_full"
    assert view.reason.params["needed"]
    assert view.reason.params["free"]
    points = run_folder.checkpoints(folder)
    assert 1 < len(points) < 40
    for point in points:
        run_folder.verify(point.path)
    assert left(folder) == sorted(point.path.name for point in points)
    disk(50_000_000)
    launch.resume(folder)
    assert ended(folder, 60).state is State.SUCCEEDED
    assert run_folder.read(folder).step == 40
    assert "adapter_model.safetensors" in left(folder)


def test_a_write_that_fails_half_way_leaves_nothing(
    home: Path,
    tiny_model_dir: Path,  # noqa: F811
    disk: Disk,
) -> None:
    """The first checkpoint can only be estimated. Here the disk passes that and then runs full
    under the writer's hand (ENOSPC of the kernel, not of a test)."""
    whole = checkpoints.size(train_small(home, tiny_model_dir, max_steps=1) / "checkpoint-1")
    disk(2_000_000)
    ballast = home / "saves" / "ballast"
    around = 30 * PAGE  # supervisor's reserve, log, arguments
    ballast.write_bytes(b"\0" * (2_000_000 - whole - around))
    code, folder = train(home, tiny_model_dir, max_steps=1)
    log = (folder / "log.txt").read_text()
    assert code == DiskFullError.exit_code, log
    assert "step 1 of 1" in log, "refused before it began to write: the test is void"
    view = run_folder.read(folder)
    assert view.reason is not None
    assert view.reason.code == "disk_full"
    assert left(folder) == []
    ballast.unlink()
