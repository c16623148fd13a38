"""Every way to fail becomes a problem, an exit code and problem.json."""

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.runs import run_files
from backend.contract.texts.problems import STOPPED_EXIT, DataError, Problem
from backend.running.failures import Stopped, explain, run_worker


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def wrapped(inner: Exception) -> Exception:
    outer = RuntimeError("could not serialize")
    outer.__cause__ = inner
    return outer


CUDA = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of")
CASES = [
    (MemoryError(), "out_of_memory_training", 5),
    (CUDA, "out_of_memory_training", 5),
    (
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
        ),
        "out_of_memory_training",
        5,
    ),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory_training", 5),
    (OSError(errno.ENOSPC, "No space left on device"), "disk_full_somewhere", 6),
    (wrapped(OSError(errno.EDQUOT, "Disk quota exceeded")), "disk_full_somewhere", 6),
    (RuntimeError("I/O error: No space left on device (os error 28)"), "disk_full_somewhere", 6),
    (RuntimeError("basic_ios::clear: iostream error"), "disk_full_somewhere", 6),
    (ValueError("odd\nthing"), "unexpected", 1),
    (DataError(Problem(code="model_required")), "model_required", 3),
]


@pytest.mark.parametrize(("error", "code", "exit_code"), CASES)
def test_a_failure_is_told(error: Exception, code: str, exit_code: int, tmp_path: Path) -> None:
    arguments = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    (tmp_path / "run.json").write_text(json.dumps({"arguments": arguments}))
    assert run_worker(raising(error), tmp_path) == exit_code
    assert run_files.noted_exit_code(tmp_path) == exit_code
    row = json.loads((tmp_path / "problem.json").read_text())
    assert row["code"] == code
    text = Problem.from_json(row).text()
    if code == "out_of_memory_training":
        assert "batch size 8" in text
        assert "per_device_train_batch_size 4" in text
        assert "gradient_accumulation_steps 2" in text
    if code == "unexpected":
        assert "ValueError" in text
        assert "thing" in text


@pytest.mark.parametrize(
    ("work", "code"),
    [(lambda: None, 0), (raising(Stopped()), 20), (raising(KeyboardInterrupt()), 20)],
)
def test_the_last_word_of_a_worker(
    work: Callable[[], None], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted beside what the status says already, by the first process of a group alone."""
    (tmp_path / "status.json").write_text('{"phase": "saving", "step": 3}')
    monkeypatch.setenv("RANK", "1")
    assert run_worker(work, tmp_path) == code
    assert run_files.noted_exit_code(tmp_path) is None
    monkeypatch.setenv("RANK", "0")
    assert run_worker(work, tmp_path) == code
    row = json.loads((tmp_path / "status.json").read_text())
    assert row == {"phase": "saving", "step": 3, "exit_code": code}
    assert run_files.exit_code(tmp_path) == code


def test_a_failure_in_a_group_is_not_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two was killed: the other loses its connection and fails, which is no reason."""
    monkeypatch.setenv("RANK", "0")
    assert run_worker(raising(RuntimeError("Connection reset by peer")), tmp_path) == 1
    assert run_files.noted_exit_code(tmp_path) is None
    (tmp_path / "exit.json").write_text('{"code": null, "signal": 9}')
    assert run_files.exit_code(tmp_path) == 137


def test_the_smallest_batch_gets_other_advice() -> None:
    values = {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "cutoff_len": 2048,
    }
    problem = explain(CUDA, resolve(values)).problems[0]
    assert problem.field == "cutoff_len"
    assert "cutoff_len 1024" in problem.text()
    least = {"cutoff_len": 128, "disable_gradient_checkpointing": False}
    problem = explain(CUDA, resolve({**values, **least})).problems[0]
    assert problem.code == "out_of_memory_smallest"
    assert "128 tokens" in problem.text()


def test_a_token_or_position_without_a_row_says_what_to_set() -> None:
    """The text of torch 2.13's embedding on a CPU."""
    problem = explain(IndexError("index out of range in self"), Arguments()).problems[0]
    assert problem.code == "embedding_row_missing"
    assert {"cutoff_len", "resize_vocab."} <= set(problem.text().replace(";", "").split())
    assert (
        explain(IndexError("list index out of range"), Arguments()).problems[0].code == "unexpected"
    )


@pytest.mark.parametrize("error", [Stopped(), KeyboardInterrupt()])
def test_a_stop_is_no_failure(error: BaseException, tmp_path: Path) -> None:
    assert run_worker(raising(error), tmp_path) == STOPPED_EXIT
    assert not (tmp_path / "problem.json").exists()


def test_success_is_zero(tmp_path: Path) -> None:
    assert run_worker(lambda: None, tmp_path) == 0


def test_sigterm_asks_for_a_graceful_stop(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert run_worker(lambda: os.kill(os.getpid(), signal.SIGTERM), tmp_path) == 0
        assert (tmp_path / "stop.json").exists()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_all_problems_are_recorded(tmp_path: Path) -> None:
    error = DataError(Problem(code="model_required"), Problem(code="dataset_required"))
    run_worker(raising(error), tmp_path)
    row = json.loads((tmp_path / "problem.json").read_text())
    assert [row["code"], *(each["code"] for each in row["more"])] == [
        "model_required",
        "dataset_required",
    ]
