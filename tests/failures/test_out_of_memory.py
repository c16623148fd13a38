"""R-11 by the kernel itself: a run in a control group whose memory is less than it needs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system.files import read_json
from tests.backend.conftest import tiny_model_dir, tiny_tokenizer, write_dataset  # noqa: F401
from tests.backend.training import ROWS

ROOT = Path(__file__).parents[2]
LIMIT = 300_000_000  # bytes; torch and transformers alone take more
GROUPS = Path("/sys/fs/cgroup")


def own(controller: str) -> str:
    """The control group that this process is in, of one controller ("" is version 2)."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    found = {names: path for _, names, path in (line.split(":", 2) for line in lines)}
    return found.get(controller, "/").lstrip("/")


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with LIMIT of memory and no swap; skipped where none can be made."""
    first = (GROUPS / "memory" / own("memory"), "memory.limit_in_bytes")
    second = (GROUPS / own(""), "memory.max")
    parent, limit = first if (GROUPS / "memory").is_dir() else second
    made = parent / f"tuneboard-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        try:
            (made / limit).write_text(str(LIMIT))
        except OSError as error:
            pytest.skip(f"the memory of a control group cannot be limited here: {error}")
        yield made
    finally:
        made.rmdir()


def test_a_run_that_the_kernel_ends_for_want_of_memory_is_told_so(
    group: Path,
    workspace: Path,
    tiny_model_dir: Path,  # noqa: F811
) -> None:
    """Launcher, supervisor and trainer share the limit: the trainer goes, the others tell."""
    write_dataset(workspace, "sums", ROWS)
    folder = workspace / "saves" / "tiny" / "lora" / "big"
    words = [f"model_name_or_path={tiny_model_dir}", "dataset=sums", f"output_dir={folder}"]
    enter = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
    command = [sys.executable, "-m", "backend", "train", "max_steps=1", *words]
    done = subprocess.run(
        ["sh", "-c", enter, str(group), *command],
        env={**os.environ, "TUNEBOARD_HOME": str(workspace), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0, done.stdout
    view = run_folder.read(folder)
    assert view.state is State.OUT_OF_MEMORY, (folder / "log.txt").read_text()
    assert view.reason is not None
    assert view.reason.code == "out_of_memory"
    ended = read_json(folder / "exit.json")
    assert (ended["signal"], ended["out_of_memory"]) == (9, True)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.delenv("TUNEBOARD_WORKER", raising=False)
    for name in ("data", "saves"):
        (tmp_path / name).mkdir()
    return tmp_path
