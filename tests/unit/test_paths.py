"""A relative path is looked for in the current folder, then in the working folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.tabs.run.launching import Launcher
from backend.cli.commands import dispatch
from backend.cli.terminal import run_of
from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import (
    data,
    describe_places,
    output,
    prepare,
    resource_folder,
    search_paths,
)
from backend.contract.launching import recipes
from backend.contract.models.model_folder import local
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry import registry
from backend.contract.registry.dataset_info import REGISTRY, SETS, find, folder_of
from backend.contract.runs import run_names
from backend.contract.runs.run_names import ADAPTERS, OUTPUTS
from backend.contract.texts.problems import DataError, TuneboardError
from backend.datafiles import entering
from tests.unit.forms import filled, launcher_of, train_form

Fixture = tuple[Path, Path]
INPUTS = [row.name for row in FIELDS.values() if row.kind == "path" and row.name not in OUTPUTS]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fixture:
    """The current folder and, elsewhere, the working folder."""
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TUNEBOARD_HOME", str(home))
    return here, home


def put(path: Path, text: str = "{}") -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_shipped_sets_may_be_named_by_their_path(folders: Fixture) -> None:
    assert data(resource_folder("data")) == resource_folder("data")


def test_the_current_folder_comes_first(folders: Fixture) -> None:
    here, home = folders
    assert search_paths("a/b") == (here / "a/b", home / "a/b")
    assert search_paths("/a/b") == (Path("/a/b"),)
    assert local("x") == home / "x"  # nowhere: where it would be made
    put(home / "x")
    assert local("x") == home / "x"
    put(here / "x")
    assert local("x") == here / "x"
    assert output("x") == home / "x"
    assert describe_places("a/b") == f"{here / 'a/b'}, {home / 'a/b'}"


def test_one_folder_is_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for home in (str(tmp_path), ""):
        monkeypatch.setenv("TUNEBOARD_HOME", home)
        assert search_paths("a") == (tmp_path / "a",)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert search_paths("a") == (tmp_path / "a",)


def given(name: str, text: str) -> Values:
    """Values in which this argument alone names something here."""
    base = {"model_name_or_path": "org/model", "dataset": "d.jsonl", "stage": "sft"}
    more: dict[str, Values] = {
        "reward_python_file": {"stage": "grpo", "reward_functions": "python"},
        "ref_model": {"stage": "dpo"},
        "ref_model_adapters": {"stage": "dpo"},
        "reward_model": {"stage": "ppo", "reward_model_type": "full"},
        "reward_model_adapters": {
            "stage": "ppo",
            "reward_model_type": "full",
            "reward_model": "./r",
        },
    }
    return {**base, **more.get(name, {}), name: text}


def missing(name: str, text: str, task: str = "train") -> list[str]:
    """What is said of this argument before a start."""
    values = {**arguments.defaults(task), **given(name, text)}
    return [one.text() for one in check_paths(values, task) if one.field == name]


@pytest.mark.parametrize(
    ("name", "text", "task"),
    [
        ("model_name_or_path", "models/gone/x", "train"),
        ("adapter_name_or_path", "./gone/x", "train"),
        ("ref_model", "models/gone/x", "train"),
        ("ref_model_adapters", "./gone/x", "train"),
        ("reward_model", "models/gone/x", "train"),
        ("reward_model_adapters", "./gone/x", "train"),
        ("dataset", "gone/x.jsonl", "train"),
        ("dataset", "org/set", "train"),
        ("eval_dataset", "gone/folder", "train"),
        ("eval_dataset", "gone.csv", "train"),
        ("deepspeed", "gone.json", "train"),
        ("resume_from_checkpoint", "gone/checkpoint-3", "train"),
        ("reward_python_file", "gone.py", "train"),
        ("new_special_tokens_config", "gone.yaml", "train"),
        ("export_quantization_dataset", "gone.json", "export"),
    ],
)
def test_a_missing_path_is_said_with_both_places(
    name: str, text: str, task: str, folders: Fixture
) -> None:
    here, home = folders
    (here / "models").mkdir()
    put(home / "data" / REGISTRY)
    if task == "export":
        values = {**arguments.defaults(task), "export_quantization_bit": "4", name: text}
        values["model_name_or_path"] = "org/model"
        said = [one.text() for one in check_paths(values, task) if one.field == name]
    else:
        said = missing(name, text)
    assert said
    for place in folders:
        assert str(place / text) in said[-1]


def test_a_registry_is_where_its_file_is(folders: Fixture) -> None:
    """A folder data/ of something else, in which a person stands, hides no data sets."""
    here, home = folders
    (here / "data").mkdir()
    with pytest.raises(DataError) as error:
        find("x", "data")
    for place in folders:
        assert str(place / "data" / REGISTRY) in str(error.value)
    put(home / "data" / REGISTRY, json.dumps({"x": {"file_name": "x.json"}}))
    assert folder_of("data") == data() == home / "data"
    put(here / "data" / REGISTRY, json.dumps({"y": {"file_name": "y.json"}}))
    put(here / "data" / "y.json", "[]")
    assert folder_of("data") == data() == here / "data"
    assert find("y", "data").path == here / "data" / "y.json"


def test_a_missing_registry_is_told_once_and_never_made_by_a_removal(folders: Fixture) -> None:
    values = {"dataset": "a,b", "dataset_dir": "gone"}
    assert [one.code for one in check_paths(values, "train")] == ["registry_missing"]
    with pytest.raises(DataError) as error:
        registry.remove("a", "gone")
    for place in folders:
        assert str(place / "gone" / REGISTRY) in str(error.value)
        assert not any(place.iterdir())


def test_a_registry_on_a_hub_is_no_folder(folders: Fixture) -> None:
    """LLaMA-Factory fetches dataset_info.json where dataset_dir is REMOTE: and a repository."""
    values = {"dataset": "a,b", "dataset_dir": "REMOTE:org/sets"}
    (problem,) = check_paths(values, "train")
    assert problem.code == "registry_remote"
    assert "hf download --repo-type dataset org/sets " in problem.text()
    for word in ("REMOTE:org/sets", "ONLINE"):
        with pytest.raises(DataError) as error:
            registry.register("a", {"file_name": "a.json"}, word)
        assert error.value.problems[0].code == "registry_no_folder"
    assert [each for place in folders for each in place.iterdir()] == []


def test_demo_data_is_made_in_the_working_folder(folders: Fixture) -> None:
    here, home = folders
    (here / "data").mkdir()
    prepare()
    assert (home / "data" / REGISTRY).is_file()
    assert not any((here / "data").iterdir())


def test_an_empty_folder_for_data_is_filled(folders: Fixture) -> None:
    """As a container's new volume is; what holds anything is left as it is."""
    home = folders[1]
    (home / "data").mkdir()
    prepare()
    assert (home / "data" / REGISTRY).is_file()
    (home / "data" / REGISTRY).unlink()
    prepare()
    assert not (home / "data" / REGISTRY).exists()


def test_a_file_is_brought_in_from_the_current_folder(folders: Fixture) -> None:
    here, home = folders
    put(home / "data" / REGISTRY)
    put(here / "mine.jsonl", '{"instruction": "a", "output": "b"}\n')
    assert entering.propose_file(Path("mine.jsonl"))[0].kind == "sft"
    assert entering.place(Path("mine.jsonl"), "data") == str(here / "mine.jsonl")
    with pytest.raises(DataError) as error:
        entering.propose_file(Path("gone.jsonl"))
    assert f"{here / 'gone.jsonl'}, {home / 'gone.jsonl'}" in str(error.value)


def test_files_of_arguments_and_recipes(folders: Fixture) -> None:
    here, home = folders
    put(home / "run.yaml", "lora_rank: 4\n")
    values, problems = arguments.from_argv(["run.yaml"], "train")
    assert (values["lora_rank"], problems) == (4, [])
    put(here / "run.yaml", "lora_rank: 5\nsed: 1\n")
    values, (problem,) = arguments.from_argv(["run.yaml"], "train")
    assert (values["lora_rank"], problem.params["at"]) == (5, "run.yaml:2")
    _, (problem,) = arguments.from_argv(["gone.yaml"], "train")
    assert f"{here / 'gone.yaml'}, {home / 'gone.yaml'}" in problem.text()
    put(here / "mine.yaml", "stages: [{name: a, arguments: {dataset: d}}]\n")
    assert recipes.read("mine.yaml").name == "mine"
    with pytest.raises(TuneboardError) as error:
        recipes.read("gone.yaml")
    assert str(home / "gone.yaml") in str(error.value)


def test_a_run_is_named_by_a_path_of_the_working_folder(folders: Fixture) -> None:
    home = folders[1]
    put(home / "saves/m/lora/first/run.json")
    assert run_of("saves/m/lora/first") == home / "saves/m/lora/first"
    with pytest.raises(TuneboardError) as error:
        run_of("saves/gone")
    with pytest.raises(TuneboardError) as other:
        dispatch(["runs", "find", "saves/gone"])
    for place in folders:
        assert str(place / "saves/gone") in str(error.value)
        assert str(place / "saves/gone") in str(other.value)


def test_each_path_is_absolute_where_the_current_folder_has_it(folders: Fixture) -> None:
    """What a run is started with means the same in its own processes, and next year on the page."""
    here, home = folders
    names = [*INPUTS, *ADAPTERS, *SETS]
    assert len(names) >= 16
    for name in names:
        holding = f"/{REGISTRY}" if name == "dataset_dir" else ""
        put(here / f"in/{name}.json{holding}")
        put(home / f"at/{name}.json{holding}")
        asked = {name: f"in/{name}.json"}
        assert run_names.replace_names(asked)[0] == {name: str(here / f"in/{name}.json")}
        for text in (f"at/{name}.json", str(here / f"in/{name}.json")):
            assert run_names.replace_names({name: text})[0] == {name: text}
    several = {"adapter_name_or_path": "in/dataset.json,at/dataset.json"}
    expected = f"{here / 'in/dataset.json'},at/dataset.json"
    assert run_names.replace_names(several)[0] == {"adapter_name_or_path": expected}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("deepspeed", "2"),
        ("deepspeed", "3_offload"),
        ("resume_from_checkpoint", "auto"),
        ("dataset", "identity"),
        ("eval_dataset", "identity"),
        ("output_dir", "saves/x"),
        ("export_dir", "out"),
    ],
)
def test_words_and_outputs_are_no_paths_of_the_current_folder(
    name: str, word: str, folders: Fixture
) -> None:
    """A folder that a person has and that is called as a value is."""
    (folders[0] / word).mkdir(parents=True)
    assert run_names.replace_names({name: word})[0] == {name: word}


@pytest.fixture
def launcher(folders: Fixture) -> Launcher:
    return launcher_of(train_form())


def test_the_page_stands_where_its_server_was_started(
    launcher: Launcher, folders: Fixture, model_like: Callable[[Path], Path]
) -> None:
    """What is shown is what is launched, with the path that was meant; outputs go home."""
    here, home = folders
    model_like(here / "models/mine")
    put(home / "data" / REGISTRY, json.dumps({"x": {"file_name": "x.json"}}))
    put(home / "data" / "x.json", "[]")
    boxes = {"model_name_or_path": "models/mine", "dataset": ["x"]}
    values, problems = launcher.judge(filled(launcher, **boxes, run_name="first"))
    assert [one for one in problems if not one.notice] == []
    shown = Command.build("train", values).shell()
    assert f"--model_name_or_path {here / 'models/mine'} " in shown
    assert shown.endswith("--output_dir saves/mine/lora/first")


@pytest.fixture
def model_like() -> Callable[[Path], Path]:
    """Makes a folder that looks like a model."""

    def make(folder: Path) -> Path:
        put(folder / "config.json", '{"model_type": "llama"}')
        header = b"{}"
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        return folder

    return make
