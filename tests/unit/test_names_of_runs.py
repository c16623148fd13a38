"""A run's name is taken wherever a run's folder is: as in the tutorial's reward model, which is
written `Qwen2_rm_output_demo1`. What a name cannot mean is refused before anything is loaded."""

import json
from pathlib import Path

import pytest

from backend.cli.tasks import parse_values
from backend.cli.terminal import run_of
from backend.contract.arguments import arguments
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import caller_environment
from backend.contract.launching import recipes
from backend.contract.preflight.preflight import check_paths
from backend.contract.runs import run_names
from backend.contract.runs.checkpoints import write_manifest
from backend.contract.texts.problems import TuneboardError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(path: str, kind: str = "adapter", **given: Value) -> str:
    """A run's folder with a result of this kind ("" for none) and what names it."""
    folder = Path.cwd() / "saves" / path
    folder.mkdir(parents=True)
    model, method, _ = path.split("/")
    known = {"model_name_or_path": f"models/{model}", "finetuning_type": method, "stage": "sft"}
    row = {"kind": "train", "arguments": {**known, **given}}
    (folder / "run.json").write_text(json.dumps(row))
    if kind:
        (folder / ("adapter_config.json" if kind == "adapter" else "config.json")).write_text("{}")
    return f"saves/{path}"


def taken(task: str = "train", **given: Value) -> Values:
    values, notices = run_names.replace_names({**arguments.defaults(task), **given})
    assert all(each.notice for each in notices)
    assert {each.field for each in notices} <= set(given)
    return values


def test_every_argument_that_takes_a_folder_of_weights() -> None:
    """By the kind of its widget, so that a new one is not forgotten."""
    offered = {name for name, row in FIELDS.items() if row.widget in {"model", "adapter"}}
    named = {"model_name_or_path", "reward_model", "reward_model_adapters"}
    named |= {"resume_from_checkpoint"}
    assert offered | named == set(run_names.NAMING)


def test_a_bare_name_wherever_a_folder_is() -> None:
    first = run("m/lora/first")
    whole = run("m/full/whole", "model")
    scorer = run("m/lora/Qwen2_rm_output_demo1", stage="rm")
    cases: list[tuple[str, str, str]] = [
        ("adapter_name_or_path", "first", first),
        ("adapter_name_or_path", "first,lora/Qwen2_rm_output_demo1", f"{first},{scorer}"),
        ("adapter_name_or_path", f"{first},first", f"{first},{first}"),
        ("ref_model_adapters", "first", first),
        ("reward_model_adapters", "Qwen2_rm_output_demo1", scorer),
        ("reward_model", "Qwen2_rm_output_demo1", scorer),
        ("model_name_or_path", "whole", whole),
        ("model_name_or_path", "first", first),
        ("ref_model", "full/whole", whole),
        ("ref_model", "m/full/whole", whole),
        ("teacher_model", "whole", whole),
        ("teacher_model", "first", first),
        ("teacher_model_adapters", "first", first),
        # what is a path, a hub's id, or an address is left alone
        ("model_name_or_path", "saves/m/full/whole", "saves/m/full/whole"),
        ("model_name_or_path", "org/model", "org/model"),
        ("model_name_or_path", "gpt2", "gpt2"),
        ("adapter_name_or_path", "org/adapter", "org/adapter"),
        ("adapter_name_or_path", "../first", "../first"),
        ("adapter_name_or_path", "~/first", "~/first"),
        ("adapter_name_or_path", "whole", "whole"),  # a whole model is no adapter
    ]
    for field, given, expected in cases:
        assert taken(**{field: given})[field] == expected, (field, given)
    values = taken(reward_model="Qwen2_rm_output_demo1", reward_model_type="api", stage="ppo")
    assert values["reward_model"] == "Qwen2_rm_output_demo1"


def test_a_checkpoint_of_a_run_by_name() -> None:
    run("m/lora/first")
    point = Path("saves/m/lora/first/checkpoint-20")
    point.mkdir()
    (point / "adapter_config.json").write_text("{}")
    for given in ("first/checkpoint-20", "lora/first/checkpoint-20", "m/lora/first/checkpoint-20"):
        assert taken(adapter_name_or_path=given)["adapter_name_or_path"] == str(point)
    absent = taken(adapter_name_or_path="first/checkpoint-40")
    assert absent["adapter_name_or_path"] == "first/checkpoint-40"


def test_a_run_to_resume_by_name() -> None:
    """The run stands for its newest checkpoint; the words of the argument are no names."""
    run("m/lora/first")
    point = Path("saves/m/lora/first/checkpoint-20")
    point.mkdir()
    (point / "state.json").write_text("{}")
    write_manifest(point)
    run("m/lora/true")
    for given, expected in (
        ("first", "saves/m/lora/first"),
        ("first/checkpoint-20", str(point)),
        ("true", "true"),
        ("auto", "auto"),
    ):
        assert taken(resume_from_checkpoint=given)["resume_from_checkpoint"] == expected


def test_a_folder_of_that_name_is_what_is_meant(home: Path) -> None:
    run("m/lora/first")
    (home / "first").mkdir()
    (home / "first" / "adapter_config.json").write_text("{}")
    assert taken(adapter_name_or_path="first")["adapter_name_or_path"] == "first"


def test_model_method_and_stage_tell_runs_of_one_name_apart() -> None:
    """`demo` on two bases, by two methods, and as a reward model."""
    lora, full = run("m/lora/demo"), run("m/full/demo", "model")
    other, scorer = run("n/lora/demo"), run("m/vera/demo", stage="rm")
    given: dict[str, Value] = {"model_name_or_path": "models/m", "finetuning_type": "lora"}
    assert taken(**given, adapter_name_or_path="demo")["adapter_name_or_path"] == lora
    changed: dict[str, Value] = {**given, "model_name_or_path": "models/n"}
    assert taken(**changed, adapter_name_or_path="demo")["adapter_name_or_path"] == other
    assert taken(**given, reward_model="demo")["reward_model"] == scorer
    assert taken(model_name_or_path="demo", finetuning_type="full")["model_name_or_path"] == full
    assert taken(**given, adapter_name_or_path="vera/demo")["adapter_name_or_path"] == scorer


def problems(task: str = "train", **given: Value) -> list[tuple[str, str, str]]:
    values = {**arguments.defaults(task), "dataset_dir": "data", **given}
    return [
        (each.code, each.field, each.text())
        for each in check_paths(values, task)
        if each.field in given
    ]


def test_what_a_name_cannot_mean_is_refused_before_anything_loads() -> None:
    """With the paths that may have been meant: several of one name, or a similar one."""
    one, two = run("m/lora/demo"), run("n/lora/demo")
    (found,) = problems(adapter_name_or_path="demo", model_name_or_path="org/other")
    assert found[:2] == ("run_name_ambiguous", "adapter_name_or_path")
    assert one in found[2]
    assert two in found[2]
    for field in ("adapter_name_or_path", "ref_model_adapters"):
        (found,) = problems(**{field: "demi"}, model_name_or_path="org/other")
        assert found[:2] == ("run_name_unknown_near", field)
        assert one in found[2]
    given: dict[str, Value] = {"stage": "ppo", "reward_model_type": "lora"}
    (found,) = problems(**given, reward_model="demoo")
    assert found[:2] == ("run_name_unknown_near", "reward_model")
    assert problems(model_name_or_path="gpt2") == []  # a hub's id of one word
    failed = run("m/lora/failed", "")
    for field in ("adapter_name_or_path", "ref_model", "model_name_or_path"):
        (found,) = problems(**{"model_name_or_path": "org/other", field: "failed"})
        assert found[:2] == ("run_name_without_weights", field)
        assert failed in found[2]


def test_the_command_and_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The path goes into what is run and kept; each name is said with what it means."""
    first = run("m/lora/first", "")
    with pytest.raises(TuneboardError):  # neither base nor weights are there: a name all the same
        parse_values(
            "export", ["model_name_or_path=org/m", "adapter_name_or_path=x", "export_dir=e"]
        )
    (Path(first) / "adapter_config.json").write_text("{}")
    header = json.dumps({}).encode()
    weights = len(header).to_bytes(8, "little") + header
    (Path(first) / "adapter_model.safetensors").write_bytes(weights)
    words = ["model_name_or_path=org/m", "adapter_name_or_path=first", "export_dir=out"]
    _, values = parse_values("export", words)
    assert f"--adapter_name_or_path {first}" in Command.build("export", values).shell()
    assert first in capsys.readouterr().err
    recipe = recipes.read(next(iter(recipes.list_recipes())))
    plan = recipes.plan(recipe, "g", {"model_name_or_path": "first"})
    assert plan.steps
    assert plan.steps[0].values["model_name_or_path"] == first


def test_runs_are_stopped_and_resumed_by_name() -> None:
    run("m/lora/first")
    run("m/lora/demo")
    run("n/lora/demo")
    assert run_of("first") == Path.cwd() / "saves/m/lora/first"
    assert run_of("saves/m/lora/first") == Path.cwd() / "saves/m/lora/first"
    assert run_of("n/lora/demo") == Path.cwd() / "saves/n/lora/demo"
    for word, code in (
        ("demo", "run_name_ambiguous"),
        ("none", "no_such_run"),
        ("", "no_such_run"),
    ):
        with pytest.raises(TuneboardError) as error:
            run_of(word)
        assert error.value.problems[0].code == code


def test_a_folder_that_is_no_run_hides_none(home: Path) -> None:
    """`export --export_dir r1` writes r1 into the working folder, and `resume r1` found no run."""
    path = run("m/lora/r1")
    write_manifest_of(path)
    (home / "r1").mkdir()
    for name in ("r1", "lora/r1"):
        assert run_of(name) == home / path
    for field in sorted({"model_name_or_path", "adapter_name_or_path", "resume_from_checkpoint"}):
        assert taken(**{field: "r1"})[field] == path, field
    (home / "r1" / "config.json").write_text("{}")
    assert taken(model_name_or_path="r1")["model_name_or_path"] == "r1"
    assert taken(adapter_name_or_path="r1")["adapter_name_or_path"] == path
    assert run_of("r1") == home / path


def write_manifest_of(path: str) -> None:
    """A checkpoint of a run that is whole."""
    point = Path.cwd() / path / "checkpoint-1"
    point.mkdir()
    (point / "weights").write_text("w")
    write_manifest(point)


def test_a_name_that_means_nothing_is_said_with_its_places(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No bare dash where no run has a similar name; a run's process, which stands in the working
    folder, names the folder where its person stands, too."""
    (found,) = problems(adapter_name_or_path="nosuchrun", model_name_or_path="org/other")
    places = f"{home / 'nosuchrun'}, {home / 'saves/*/*/nosuchrun'}"
    assert found[0] == "run_name_unknown"
    assert found[2].endswith(f"there is nothing at {places}.")
    here = home / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    passed = caller_environment()
    monkeypatch.chdir(home)
    monkeypatch.setenv(*next(iter(passed.items())))
    assert run_names.describe_places("nosuchrun") == f"{here / 'nosuchrun'}, {places}"
    assert caller_environment() == passed  # of a run that a recipe's process starts
