"""The folder that Export suggests: new, named for what is exported, and for what is chosen now."""

from pathlib import Path

import pytest

from app.form.form import Form
from app.form.schema import Section
from app.tabs import export
from tests.unit.forms import launcher_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("model", "adapters", "folder"),
    [
        ("saves/models/tiny", ["saves/tiny/lora/one"], "saves/models/one"),
        ("saves/models/tiny", ["saves/tiny/lora/one", "saves/tiny/lora/two"], "saves/models/two"),
        (
            "saves/models/tiny",
            ["saves/tiny/lora/one/checkpoint-20"],
            "saves/models/one-checkpoint-20",
        ),
        ("saves/models/tiny", [], "saves/models/tiny-export"),
        ("org/Some-Model", [], "saves/models/Some-Model"),
        ("saves/tiny/full/three", [], "saves/models/three"),
    ],
)
def test_it_has_the_name_of_what_is_exported(
    model: str, adapters: list[str], folder: str, home: Path
) -> None:
    (home / "saves/models/tiny").mkdir(parents=True)
    raw = {"model_name_or_path": model, "adapter_name_or_path": adapters}
    assert export.suggest(raw) == {"export_dir": folder}
    (home / folder).mkdir(parents=True)
    assert export.suggest(raw) == {"export_dir": f"{folder}-2"}


def test_nothing_is_suggested_without_a_model_or_over_what_is_typed() -> None:
    assert export.suggest({"model_name_or_path": ""}) == {}
    assert export.suggest({"model_name_or_path": "a", "export_dir": "mine"}) == {}


def test_a_suggestion_follows_the_model_until_something_is_typed() -> None:
    """What the browser says that it has put there itself is made anew; the command shows it."""
    fields = ("model_name_or_path", "adapter_name_or_path", "export_dir")
    launcher = launcher_of(Form("export", "export", [Section("all", "", fields)]))
    launcher.suggest = export.suggest
    launcher.form.judge = launcher.judgement
    values = {"model_name_or_path": "org/new", "export_dir": "saves/models/old"}

    def put(**known: str) -> object:
        judgement = launcher.form._answer_judgement({"values": values, "put": known}, "en")
        command = judgement["command"]
        return judgement["put"], "saves/models/new" in command, "saves/models/old" in command

    suggested = {"export_dir": "saves/models/new"}
    assert put(export_dir="saves/models/old") == (suggested, True, False)
    assert put(export_dir="saves/models/older") == ({}, False, True)
    assert put() == ({}, False, True)
