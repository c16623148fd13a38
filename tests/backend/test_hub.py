"""Models of a hub by the real command and huggingface_hub, from a stand-in that errs on purpose."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import ModelCard

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.runs.run_names import NAMING
from backend.contract.system import processes
from backend.export import export
from tests.failures.conftest import until
from tests.fakes.model_hub import ModelHub, serving

ROOT = Path(__file__).parents[2]
NAME = "owner/tiny"
LARGE = bytes(range(256)) * 98304  # 24 MiB: huggingface_hub writes 10 MB at a time


# Runs one command after the other, so that the libraries are loaded once.
SHELL = """
import contextlib, io, json, sys
from backend.__main__ import main

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(json.loads(line))
        except SystemExit as error:
            code = error.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


class Answer(NamedTuple):
    """What a command answers."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


def environment(hub: ModelHub, home: Path) -> dict[str, str]:
    places = {"HF_HOME": str(home / "hf"), "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    secret = {"HF_TOKEN": "hf_s3cret", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    secret["HF_HUB_DOWNLOAD_TIMEOUT"] = "5"
    other = {"MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_CACHE": str(home / "ms")}
    return {**os.environ, **places, **secret, **other, "HF_ENDPOINT": hub.url}


@pytest.fixture(scope="module")
def shell_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the commands."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shell(shell_home: Path) -> Iterator[tuple[ModelHub, Run]]:
    """A hub, and `tuneboard models WORD ...` with it in a working folder of its own."""
    with (
        serving() as hub,
        subprocess.Popen(
            [sys.executable, "-c", SHELL],
            env=environment(hub, shell_home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stdin
        assert child.stdout

        def run(*words: str) -> Answer:
            assert child.stdin
            assert child.stdout
            child.stdin.write(json.dumps(["models", *words]) + "\n")
            child.stdin.flush()
            return Answer(*json.loads(child.stdout.readline()))

        yield hub, run
        child.stdin.close()


@pytest.fixture
def hub(shell: tuple[ModelHub, Run]) -> ModelHub:
    """The hub with one model, and nothing wrong."""
    hub = shell[0]
    hub.__init__(hub.url)
    fill(hub)
    return hub


@pytest.fixture
def run(shell: tuple[ModelHub, Run], hub: ModelHub) -> Run:
    """The command, once nothing is downloaded."""
    for row in json.loads(shell[1]("--json").out):
        shell[1]("remove", row["name"])
    return shell[1]


def fill(hub: ModelHub) -> None:
    """Put a model on the hub, with a pickle and a second copy beside it."""
    hub.models[NAME] = {
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors": LARGE,
        "original/model.safetensors": LARGE + b"!",
        "pytorch_model.bin": LARGE + b"?",
    }
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    weights = {"parameters": {"BF16": 1000, "F32": 24}, "total": 1024}
    tags = ["safetensors", "license:apache-2.0"]
    hub.about[NAME] = {"config": config, "safetensors": weights, "tags": tags, "downloads": 7}


def test_a_search_says_what_can_be_trained(hub: ModelHub, run: Run) -> None:
    hub.models |= {"owner/tiny-gguf": {}, "owner/tiny-bert": {}, "other/thing": {}}
    hub.about["owner/tiny-gguf"] = {"tags": ["gguf"], "gated": "manual"}
    hub.about["owner/tiny-bert"] = {"config": {"model_type": "bert_of_no_release"}}
    answer = run("search", "tiny", "--json")
    models = {row["name"]: row for row in json.loads(answer.out)}
    assert list(models) == [NAME, "owner/tiny-gguf", "owner/tiny-bert"]
    assert models[NAME] == {
        "name": NAME,
        "parameters": 1024,
        "license": "apache-2.0",
        "gated": False,
        "downloads": 7,
        "architecture": "LlamaForCausalLM",
        "obstacle": "",
        "size": 2 * 1000 + 4 * 24,
    }
    assert models["owner/tiny-gguf"]["gated"] is True
    assert models["owner/tiny-gguf"]["obstacle"] == "no_safetensors"
    assert models["owner/tiny-bert"]["obstacle"] == "architecture"
    lines = run("search", "tiny").out.splitlines()
    assert lines[0].split() == ["1.02", "k", NAME, "apache-2.0"]
    assert "no safetensors" in lines[1]


def test_a_download_is_listed_and_removed(hub: ModelHub, run: Run) -> None:
    """Pickles and second copies stay on the hub; a second download fetches nothing."""
    answer = run("get", NAME)
    folder = Path(answer.out.strip())
    assert answer.code == 0
    assert (folder / "model.safetensors").read_bytes() == LARGE
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert "25.2 MB / 25.2 MB" in answer.err
    assert hub.ranges == [0]
    assert run("get", NAME).out == answer.out
    assert hub.ranges == [0]
    listed = json.loads(run("--json").out)
    assert [(row["name"], row["size"] > len(LARGE)) for row in listed] == [(NAME, True)]
    assert NAME in run("remove", NAME).out
    assert not folder.exists()
    assert json.loads(run("--json").out) == []
    missing = run("remove", NAME)
    assert missing.code == 4
    assert NAME in missing.err


def test_a_download_goes_on_where_the_line_broke(hub: ModelHub, run: Run) -> None:
    hub.breaks = [15_000_000]
    answer = run("get", NAME)
    assert answer.code == 0, answer.err
    assert (Path(answer.out.strip()) / "model.safetensors").read_bytes() == LARGE
    assert hub.ranges[0] == 0
    assert 0 < hub.ranges[1] <= 15_000_000


def test_a_download_goes_on_where_the_hub_fell_silent(hub: ModelHub, run: Run) -> None:
    hub.stalls = [15_000_000]
    answer = run("get", NAME)
    assert answer.code == 0, answer.err
    assert (Path(answer.out.strip()) / "model.safetensors").read_bytes() == LARGE
    assert 0 < hub.ranges[1] <= 15_000_000


def test_a_download_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """Ctrl-C, then the same command again, from a terminal."""
    with serving() as hub:
        fill(hub)
        hub.pause = 0.3
        words = [sys.executable, "-m", "backend", "models", "get", NAME]
        environ = environment(hub, tmp_path)
        child = subprocess.Popen(words, env=environ, stderr=subprocess.PIPE, text=True)
        blobs = tmp_path / "hf" / "hub" / "models--owner--tiny" / "blobs"
        until(lambda: any(path.stat().st_size for path in blobs.glob("*.incomplete")), 120)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=120)
        assert child.returncode == 128 + signal.SIGINT
        assert "Traceback" not in said
        hub.pause = 0.0
        subprocess.run(words, env=environ, check=True, timeout=120)
    assert hub.ranges[0] == 0
    assert hub.ranges[-1] > 0


FETCH = """
import sys
from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import ModelError
from backend.model import hub
try:
    print(hub.fetch(sys.argv[1], resolve({})))
except ModelError as error:
    sys.exit(error.problems[0].code)
"""


def test_the_download_of_a_run_goes_on_and_is_checked(tmp_path: Path) -> None:
    """A training that fetches its own model, killed on the way, does as `models get` does."""
    with serving() as hub:
        fill(hub)
        words, environ = [sys.executable, "-c", FETCH, NAME], environment(hub, tmp_path)
        hub.pause = 0.3
        child = subprocess.Popen(words, env=environ, stderr=subprocess.DEVNULL)
        blobs = tmp_path / "hf" / "hub" / "models--owner--tiny" / "blobs"
        until(lambda: any(path.stat().st_size for path in blobs.glob("*.incomplete")), 120)
        child.kill()
        child.wait()
        hub.pause, hub.rotten = 0.0, {"model.safetensors"}
        damaged = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=120)
        assert damaged.stderr.splitlines()[-1] == "hub_checksum"
        assert hub.ranges[-1] > 0
        hub.rotten = set()
        whole = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=120)
    folder = Path(whole.stdout.strip())
    assert (folder / "model.safetensors").read_bytes() == LARGE
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    offline = {**environ, "HF_HUB_OFFLINE": "1"}
    again = subprocess.run(words, env=offline, capture_output=True, text=True, timeout=120)
    assert again.stdout == whole.stdout


@pytest.mark.parametrize("field", [*NAMING[:3], "adapter_name_or_path"])
def test_a_model_that_a_run_uses_is_not_removed(
    field: str, hub: ModelHub, run: Run, shell_home: Path
) -> None:
    """It looked at model_name_or_path and ref_model alone: a teacher, or the base of an adapter,
    was taken away from below a run."""
    run("get", NAME)
    folder = shell_home / "saves" / "m" / "lora" / "going"
    folder.mkdir(parents=True)
    adapter = shell_home / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": NAME}))
    named = f"none,{adapter}" if field == "adapter_name_or_path" else NAME
    (folder / "run.json").write_text(json.dumps({"kind": "train", "arguments": {field: named}}))
    launched = {"child": processes.identify(os.getpid()).to_json(), "boot_id": processes.boot_id()}
    (folder / "launch.json").write_text(json.dumps(launched))
    refused = run("remove", NAME)
    shutil.rmtree(folder)
    shutil.rmtree(adapter)
    assert refused.code == 4
    assert "in use by the run going" in refused.err
    assert run("remove", NAME).code == 0


def test_an_export_of_a_downloaded_model_names_its_license(
    hub: ModelHub, run: Run, shell_home: Path, workspace: Path, tiny_model_dir: Path
) -> None:
    """The model's card stayed on the hub, and an export said "license: not recorded here". A
    download from that time still serves offline; the next one fetches the card alone."""
    name = "owner/licensed"  # huggingface_hub remembers the files of the others' commit
    card = b"---\nlicense: other\nlicense_name: tiny-community\n---\n# Tiny\n"
    files = {path.name: path.read_bytes() for path in tiny_model_dir.iterdir()}
    hub.models[name] = {**files, "README.md": card, "LICENSE": b"Be kind."}
    folder = Path(run("get", name).out.strip())
    assert {path.name for path in folder.iterdir()} == {*files, "README.md", "LICENSE"}

    def export_card(target: str) -> ModelCard:
        given = {"model_name_or_path": name, "cache_dir": shell_home / "hf" / "hub"}
        named = {key: str(value) for key, value in (given | {"export_dir": target}).items()}
        values, problems = parse(named, "export")
        assert not [each for each in problems if not each.notice]
        report = workspace / f"{target}-run"
        report.mkdir()
        export.run(resolve(values), report)
        assert (workspace / target / "LICENSE").read_bytes() == b"Be kind."
        return ModelCard.load(workspace / target / "README.md")

    made = export_card("new")
    assert (made.data.license, made.data.license_name) == ("other", "tiny-community")
    assert made.data.base_model == name
    assert f"[{name}](https://huggingface.co/{name}), license: tiny-community" in made.text
    (folder / "README.md").resolve().unlink()
    (folder / "README.md").unlink()
    assert "license: not recorded here" in export_card("old").text
    fetched = len(hub.ranges)
    assert run("get", name).code == 0
    assert (folder / "README.md").read_bytes() == card
    assert len(hub.ranges) == fetched


MODELSCOPE = ("--hub_name", "modelscope")


def test_modelscope_is_searched_and_downloaded_from(hub: ModelHub, run: Run) -> None:
    """By its HTTP API: room, ranges after a break, hashes, and the folder of its own package."""
    hub.models["owner/evil"] = {"../../evil.json": b"{}", "config.json": b"{}"}
    (found,) = json.loads(run("search", "tiny", *MODELSCOPE, "--json").out)
    assert (found["name"], found["license"], found["size"]) == (NAME, "mit", 7)
    hub.breaks = [10**9, 15_000_000]  # config.json, the weights
    hub.ranges.clear()
    answer = run("get", NAME, *MODELSCOPE)
    assert answer.code == 0, answer.err
    folder = Path(answer.out.strip())
    assert folder.parts[-4:] == ("models", "owner--tiny", "snapshots", "master")
    assert (folder / "model.safetensors").read_bytes() == LARGE
    assert not (folder / "pytorch_model.bin").exists()
    assert any(0 < first <= 15_000_000 for first in hub.ranges)
    (listed,) = json.loads(run("--json").out)
    assert (listed["name"], listed["hub"], listed["whole"]) == (NAME, "modelscope", True)
    evil = Path(run("get", "owner/evil", *MODELSCOPE).out.strip())
    assert [path.name for path in evil.iterdir()] == ["config.json"]
    for name in (NAME, "owner/evil"):
        assert run("remove", name).code == 0
    assert not folder.exists()


def test_what_modelscope_refuses_is_said(hub: ModelHub, run: Run) -> None:
    assert "no model" in run("get", "owner/gone", *MODELSCOPE).err
    hub.rotten = {"model.safetensors"}
    assert "arrived damaged" in run("get", NAME, *MODELSCOPE).err
    hub.sizes["model.safetensors"] = 10**15
    assert run("get", NAME, *MODELSCOPE).code == 6
    hub.status = 429
    assert "too many requests" in run("search", "tiny", *MODELSCOPE).err
    hub.status, hub.silent = 200, True
    assert "does not answer" in run("search", "tiny", *MODELSCOPE).err
    hub.silent = False


def test_a_damaged_file_is_noticed_and_fetched_anew(hub: ModelHub, run: Run) -> None:
    hub.rotten = {"model.safetensors"}
    answer = run("get", NAME)
    assert answer.code != 0
    assert "model.safetensors arrived damaged" in answer.err
    hub.rotten = set()
    folder = Path(run("get", NAME).out.strip())
    assert (folder / "model.safetensors").read_bytes() == LARGE


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, "", "HF_TOKEN"),
        (403, "GatedRepo", "accepted its terms"),
        (404, "RepoNotFound", "The hub has no model"),
        (429, "", "too many requests"),
        (503, "", "error of its own"),
    ],
)
def test_each_refusal_is_said_in_words(
    status: int, error: str, words: str, hub: ModelHub, run: Run
) -> None:
    hub.status, hub.error = status, error
    answer = run("get", NAME)
    assert answer.code not in {0, 1}
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert "s3cret" not in answer.err
    assert "Bearer hf_s3cret" in hub.tokens


def test_a_silent_hub_is_said_in_one_line(hub: ModelHub, run: Run) -> None:
    hub.silent = True
    answer = run("search", "tiny")
    hub.silent = False
    assert answer.code != 0
    assert answer.err.count("\n") == 1
    assert "does not answer" in answer.err


def test_a_full_disk_is_noticed_before_anything_is_fetched(hub: ModelHub, run: Run) -> None:
    """The hub says that a file is larger than any disk."""
    hub.sizes["model.safetensors"] = 10**15
    answer = run("get", NAME)
    assert answer.code == 6
    assert "needs 1000000.0 GB" in answer.err
    assert hub.ranges == []
