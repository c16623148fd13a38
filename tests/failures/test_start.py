"""F-03, S-01: one winner for a folder, one run at a time, values that arrive as given."""

import json
import multiprocessing
import os
import shlex
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import saves
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from backend.contract.system.files import read_json
from backend.contract.texts.problems import RunFolderError
from tests.failures.conftest import ended, first_code, running, values

REPORT = """
import json, os, sys
with open("report.json", "w") as file:
    json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], file)
"""
HOSTILE = (
    "; touch {canary}",
    "$(touch {canary})",
    "`touch {canary}`",
    "a\ntouch {canary}\n",
    "&& touch {canary}",
    "| touch {canary}",
    "'; touch {canary}; '",
    '"; touch {canary}; "',
    "--output_dir=/nowhere",
    "-rf",
    "$HOME ~ * ? %2e%2e {{}} \\",
)


def report(monkeypatch: pytest.MonkeyPatch) -> str:
    """A worker that writes how it was called to report.json in the working folder."""
    worker = f"{shlex.quote(sys.executable)} -c {shlex.quote(REPORT)}"
    monkeypatch.setenv("TUNEBOARD_WORKER", worker)
    return worker


def by_shell(script: Path, home: Path) -> list[str]:
    """What a program named tuneboard gets where the stored command is run by a shell."""
    stub = home / "bin" / "tuneboard"
    stub.parent.mkdir()
    stub.write_text(f"#!{sys.executable}\nimport json,sys;print(json.dumps(sys.argv[1:]))\n")
    stub.chmod(0o755)
    env = {**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}"}
    done = subprocess.run([str(script)], env=env, capture_output=True, text=True, check=True)
    words: list[str] = json.loads(done.stdout)
    return words


def test_twenty_threads_one_winner(home: Path) -> None:
    """F-03: the others are told that the folder is in use."""
    barrier, won, lost = threading.Barrier(20), [], []

    def start() -> None:
        barrier.wait()
        try:
            won.append(launch.start("train", values(output_dir="saves/m/lora/same")))
        except RunFolderError as error:
            lost.append(error.problems[0].code)

    threads = [threading.Thread(target=start) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == ["output_dir_in_use"] * 19
    assert ended(won[0]).state is State.SUCCEEDED
    assert (won[0] / "log.txt").read_text().count("step 1\n") == 1


def _create(path: Path, results: "multiprocessing.Queue[str]") -> None:
    given = values()
    try:
        command = Command.build("train", given)
        run_folder.create(path, task="train", values=given, command=command)
        results.put("made")
    except RunFolderError as error:
        results.put(error.problems[0].code)


@pytest.mark.parametrize("empty", [False, True])
def test_processes_one_winner(empty: bool, tmp_path: Path) -> None:
    """F-03: without any lock around it, new folder or an empty one that is there already."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    for number in range(20):
        path = tmp_path / str(number)
        if empty:
            path.mkdir()
        racers = [context.Process(target=_create, args=(path, results)) for _ in range(3)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        found = sorted(results.get(timeout=5) for _ in racers)
        assert found == ["made", "output_dir_in_use", "output_dir_in_use"]
        assert read_json(path / "run.json")


def test_one_run_at_a_time_for_the_page(begin: Callable[..., Path]) -> None:
    """The page's Start says which run is in the way; a terminal may start a second one."""
    first = begin("--steps 500 --sleep 0.02")
    with pytest.raises(RunFolderError) as error:
        launch.start("train", values(), exclusive=True)
    assert first_code(error) == "run_in_way"
    assert str(error.value.problems[0].params["run"]) in str(first)
    second = begin("--steps 1")
    assert first != second
    ended(second)
    running(first)
    launch.stop(first)
    ended(first)
    third = launch.start("train", values(), exclusive=True)
    assert ended(third).state is State.SUCCEEDED
    assert [view.path for view in run_folder.runs(saves())] == [third, second, first]


def test_starts_at_the_same_second_have_their_own_folders(begin: Callable[..., Path]) -> None:
    folders = [begin() for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(ended(folder).state is State.SUCCEEDED for folder in folders)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_arrives_unchanged(
    hostile: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-05, S-01, S-03, P7: every text field at once; each is one word of the child's argv."""
    report(monkeypatch)
    canary = home / "CANARY"
    text = hostile.format(canary=canary)
    fields = {
        row.name: text
        for row in FIELDS.values()
        if "train" in row.tasks and row.kind in {"text", "path", "json", "list"}
    }
    kept = ("output_dir", "resume_from_checkpoint")
    given = values(**{name: value for name, value in fields.items() if name not in kept})
    secrets = [name for name in fields if FIELDS[name].secret]
    folder = launch.start("train", given)
    assert ended(folder).state is State.SUCCEEDED
    argv, _, _ = json.loads((home / "report.json").read_text())
    shown = set(arguments.drop_defaults(given, "train")) & set(fields) - set(secrets)
    assert len(shown) > 8
    for name in shown:
        pair = [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
        place = argv.index(pair[0])
        assert argv[place : place + len(pair)] == pair
    assert not canary.exists()
    stored = read_json(folder / "run.json")["argv"]
    assert isinstance(stored, list)
    assert argv == stored[1:]
    assert by_shell(folder / "command.sh", home) == argv
    line = (folder / "command.sh").read_text().removeprefix("#!/bin/sh\n")
    words = shlex.split(line)
    assert words[: len(secrets)] == [f"{FIELDS[name].to}=${FIELDS[name].to}" for name in secrets]
    assert words[len(secrets) :] == stored


def test_secrets_and_surroundings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets reach the child's environment and no file; the page's login does not even that."""
    report(monkeypatch)
    monkeypatch.setenv("TUNEBOARD_LOGIN", "me:CANARY-LOGIN")
    given = {**values(), "hf_hub_token": "CANARY-TOKEN"}
    env = dict(Command.build("train", given).env)
    assert "CANARY-TOKEN" in env.values()
    folder = launch.start("train", given, env)
    ended(folder)
    _, environ, here = json.loads((home / "report.json").read_text())
    (home / "report.json").unlink()
    assert "CANARY-TOKEN" in environ.values()
    assert "CANARY-LOGIN" not in json.dumps(environ)
    assert here == environ["TUNEBOARD_HOME"] == str(home)
    assert environ["TUNEBOARD_RUN"] == str(folder)
    assert environ["TUNEBOARD_RUN_TOKEN"] == read_json(folder / "run.json")["token"]
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 6
    assert not any(b"CANARY" in path.read_bytes() for path in files)


def test_private_whatever_the_umask(begin: Callable[..., Path]) -> None:
    """F-07."""
    before = os.umask(0)
    try:
        folder = begin()
    finally:
        os.umask(before)
    ended(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_named_backend_is_not_taken_for_ours(
    begin: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's project may well have one; python -m would import it before ours."""
    trap = tmp_path / "project" / "backend"
    trap.mkdir(parents=True)
    (trap / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(trap.parent)
    assert ended(begin()).state is State.SUCCEEDED


def test_a_supervisor_that_cannot_start_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(RunFolderError) as error:
        launch.start("train", values())
    assert first_code(error) == "supervisor_failed"
    assert run_folder.runs(saves()) == []


def test_a_run_whose_output_dir_lies_elsewhere_is_listed(
    begin: Callable[..., Path], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """While it goes on, so that no second one is started beside it, and after it was moved and
    resumed."""
    place = tmp_path_factory.mktemp("elsewhere") / "r"
    folder = begin("--steps 500 --sleep 0.02 --save-every 2", output_dir=str(place))
    assert folder == place
    running(folder, step=3)
    assert [view.path for view in run_folder.runs(home / "saves")] == [place]
    with pytest.raises(RunFolderError) as error:
        launch.start("train", values(), exclusive=True)
    assert error.value.problems[0].params["run"] == str(place)
    launch.stop(folder)
    ended(folder)
    moved = place.rename(place.with_name("moved"))
    assert run_folder.runs(home / "saves") == []
    launch.resume(moved)
    assert [view.path for view in run_folder.runs(home / "saves")] == [moved]
    launch.stop(moved)
    ended(moved)


def test_a_run_from_another_folder_means_what_lies_there(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model, data, registry and file of arguments in the current folder, all by relative paths;
    the result goes to the working folder, where runs are listed."""
    report(monkeypatch)
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    (here / "models" / "m").mkdir(parents=True)
    (here / "models" / "m" / "config.json").write_text('{"model_type": "llama"}')
    weights = (2).to_bytes(8, "little") + b"{}"
    (here / "models" / "m" / "model.safetensors").write_bytes(weights)
    (here / "sets").mkdir()
    (here / "sets" / "dataset_info.json").write_text('{"x": {"file_name": "x.json"}}')
    for name in ("sets/x.json", "more.jsonl"):
        (here / name).write_text('[{"instruction": "a", "output": "b"}]')
    (here / "run.yaml").write_text(
        "model_name_or_path: models/m\ndataset_dir: sets\ndataset: x,more.jsonl\n"
        "output_dir: saves/m/lora/first\n"
    )
    assert main(["train", "run.yaml"]) == 0
    assert (home / "saves/m/lora/first/run.json").is_file()
    assert list(here.rglob("run.json")) == []
    argv, _, stood = json.loads((home / "report.json").read_text())
    assert stood == str(home)
    words = dict(zip(argv[1::2], argv[2::2], strict=True))
    assert words["--model_name_or_path"] == str(here / "models/m")
    assert words["--dataset_dir"] == str(here / "sets")
    assert words["--dataset"] == f"x,{here / 'more.jsonl'}"
    assert words["--output_dir"] == "saves/m/lora/first"
