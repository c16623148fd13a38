"""What the model bar offers: finished runs and their whole checkpoints, each where it fits."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.form import offers
from app.services.models import catalog
from app.services.runs import runs
from backend.contract.arguments.field import Field
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs import run_folder
from tests.unit.forms import train_form


def paths_offered(kind: str) -> list[tuple[str, str]]:
    """What the lists of a kind offer: paths and texts."""
    groups = offers.groups(kind, {}, "en")
    return [pair for group in groups for pair in group["options"]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    runs.forget()
    return tmp_path


def fill(folder: Path, kind: str) -> None:
    """What a saved model or adapter leaves in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("config.json" if kind == "model" else "adapter_config.json")).write_text("{}")


def run(home: Path, name: str, kind: str, *, code: int = 0, **given: Any) -> Path:
    """An ended run with one whole checkpoint and one that was cut short."""
    folder = home / "saves/m" / ("full" if kind == "model" else "lora") / name
    fill(folder, kind)
    row = {"kind": given.pop("task", "train"), "arguments": given}
    (folder / "run.json").write_text(json.dumps(row))
    (folder / "exit.json").write_text(json.dumps({"code": code}))
    for step in (5, 10):
        fill(folder / f"checkpoint-{step}", kind)
    state = {"global_step": 5, "log_history": [{"step": 5, "eval_loss": 1.25}]}
    (folder / "checkpoint-5/trainer_state.json").write_text(json.dumps(state))
    run_folder.write_manifest(folder / "checkpoint-5")
    return folder


def paths(offers: list[catalog.Offer]) -> set[str]:
    return {path for _, path in offers}


def test_models_adapters_and_reward_models_are_kept_apart(home: Path) -> None:
    run(home, "pt", "model", stage="pt")
    run(home, "dpo", "adapter", stage="dpo")
    run(home, "rm", "adapter", stage="rm")
    run(home, "rm_full", "model", stage="rm")
    expected = {"saves/m/full/pt", "saves/m/full/pt/checkpoint-5"}
    assert paths(catalog.trained_models()) == expected
    assert paths(catalog.trained_adapters()) == {
        "saves/m/lora/dpo",
        "saves/m/lora/dpo/checkpoint-5",
    }
    assert paths(catalog.reward_models()) == {
        "saves/m/lora/rm",
        "saves/m/lora/rm/checkpoint-5",
        "saves/m/full/rm_full",
        "saves/m/full/rm_full/checkpoint-5",
    }
    labels = dict(catalog.trained_models())
    assert labels["m/full/pt · step 5 · eval 1.2500"] == "saves/m/full/pt/checkpoint-5"


def test_of_a_failed_run_only_its_checkpoints_are_offered(home: Path) -> None:
    """A root that a crash left half written is no model; a manifest vouches for a checkpoint."""
    run(home, "bad", "model", code=1)
    run(home, "stopped", "adapter", code=20)
    assert paths(catalog.trained_models()) == {"saves/m/full/bad/checkpoint-5"}
    assert "saves/m/lora/stopped" in paths(catalog.trained_adapters())


def test_a_damaged_checkpoint_is_not_offered(home: Path) -> None:
    folder = run(home, "one", "model")
    (folder / "checkpoint-5/config.json").write_text("{ }")
    assert paths(catalog.trained_models()) == {"saves/m/full/one"}


def test_exports_are_offered_once(home: Path) -> None:
    """Those under saves/models are local models anyway."""
    for name, target in (("a", "exports/a"), ("b", "saves/models/b"), ("c", "exports/gone")):
        run(home, name, "adapter", task="export", export_dir=target)
        if name != "c":
            fill(home / target, "model")
    assert paths(catalog.trained_models()) == {"exports/a"}
    offered = [path for path, _ in paths_offered("model")]
    assert offered[:2] == ["saves/models/b", "exports/a"]
    assert len(offered) > 100


@pytest.mark.parametrize("widget", ["model", "adapter", "reward_model"])
def test_every_kind_of_box_is_offered_something(widget: str, home: Path) -> None:
    run(home, "pt", "model", stage="pt")
    run(home, "dpo", "adapter", stage="dpo")
    run(home, "rm", "adapter", stage="rm")
    assert any(path.startswith("saves/m/") for path, _ in paths_offered(widget))


@pytest.mark.parametrize("widget", ["model", "reward_model", "adapter"])
@pytest.mark.parametrize("kind", ["path", "list"])
def test_such_a_box_takes_anything_and_keeps_its_value(
    widget: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Field(name="seed", kind=kind, default=None, group="data", optional=True, widget=widget)
    monkeypatch.setitem(FIELDS, "seed", row)
    form = train_form(["seed"], {"seed": "a/b,c"})
    assert form.schema("en")["fields"]["seed"]["kind"] == ("several" if kind == "list" else "one")
    assert form.values([form.start])[0]["seed"] == "a/b,c"
    [empty] = form.fill({})
    assert form.values([empty["value"]])[0]["seed"] is None


def test_what_was_downloaded_from_a_hub_is_offered_first(home: Path) -> None:
    """Half a download is not; one of the catalog is no longer said to be downloaded when used."""
    (known, *_) = catalog.catalog()
    folder = f"models--{known.path.replace('/', '--')}"
    (home / "hf" / folder / "snapshots").mkdir(parents=True)
    half = home / "hf" / "models--owner--half"
    (half / "snapshots").mkdir(parents=True)
    (half / "blobs").mkdir()
    (half / "blobs" / "0.incomplete").touch()
    (home / "ms" / "models" / "owner--other" / "snapshots" / "master").mkdir(parents=True)
    here, listed = offers.groups("model", {"hub_name": "huggingface"}, "en")
    assert here["options"] == [(known.path, known.path)]
    assert known.path not in {path for path, _ in listed["options"]}
    here, _ = offers.groups("model", {"hub_name": "modelscope"}, "en")
    assert here["options"] == [("owner/other", "owner/other")]
