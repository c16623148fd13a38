"""Resume with other arguments on the page: what changes stands before the button can be pressed."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.i18n import Texts
from app.services.page.run_head import build_head
from app.services.runs import runs
from app.tabs.run import resume_panel
from app.tabs.run.resume_panel import ResumePanel
from backend.contract.arguments.field import Value
from backend.contract.folders.home import prepare
from backend.contract.launching import launch
from backend.contract.runs.position import Position
from tests.unit.resuming import newer_checkpoint, run

WEIGHTS = (2).to_bytes(8, "little") + b"{}"  # a safetensors file without tensors


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a model and a data set, so that nothing else is wrong."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    prepare()
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "models" / "m" / "config.json").write_text('{"model_type": "qwen2"}')
    (tmp_path / "models" / "m" / "model.safetensors").write_bytes(WEIGHTS)
    return tmp_path


class Page:
    """The panel of one visitor, and what its widgets hold."""

    def __init__(self, folder: Path) -> None:
        with gr.Blocks():
            self.panel: ResumePanel = resume_panel.draw(Texts(), {}, "runs")
        self.path = str(folder)
        _, filled, shown = self.panel._fill(self.path, "", "en")
        self.first = shown["value"]
        self.held = filled["value"]

    def edit(self, lang: str = "en", **given: str) -> dict[str, Any]:
        """What changes, what is wrong, and whether the button can be pressed."""
        value: dict[str, Any] = self.panel._judge(self.path, self.path, lang, self.held | given)[
            "value"
        ]
        return value

    def press(self, **given: str) -> list[Any]:
        return self.panel._resume(self.path, "en", self.held | given)


def test_what_changes_is_shown_before_the_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(home, code=1, dataset="identity", lora_alpha=32, lora_dropout=0.1)
    page = Page(folder)
    assert page.held["per_device_train_batch_size"] == "4"
    assert page.first["lines"] == [
        "Continues from checkpoint-3, after step 3 of 16.",
        "All arguments are as they were.",
    ]
    assert page.first["ready"] is False  # Resume is for that
    shown = page.edit(learning_rate="1e-5", per_device_train_batch_size="2")
    assert (shown["wrong"], shown["ready"]) == ([], True)
    assert [(row["then"], row["now"], row["kind"]) for row in shown["changes"]] == [
        ("5e-05", "1e-05", "used"),
        ("4", "2", "used"),
    ]
    assert "row 13 of 30 of epoch 1" in shown["changes"][1]["text"]
    shown = page.edit("zh", extra_args="seed=7")
    row = shown["changes"][0]
    assert [row[name] for name in ("name", "then", "now", "kind")] == [
        "随机种子",
        "42",
        "7",
        "保留",
    ]
    assert shown["ready"]
    shown = page.edit(extra_args="output_dir=saves/m/lora/second")
    assert "All arguments are as they were." not in shown["lines"]
    assert "continues in its own folder" in shown["wrong"][0]
    assert (len(shown["wrong"]), shown["ready"]) == (1, False)
    asked: list[dict[str, Value]] = []
    monkeypatch.setattr(
        launch, "resume", lambda path, values: asked.append({"path": str(path), **values})
    )
    box, shown, *_ = page.press(num_train_epochs="5", extra_args="lora_dropout=0.2")
    assert (box["open"], shown["value"]) == (False, {})
    changed = {
        "num_train_epochs": 5.0,
        "lora_dropout": 0.2,
        "lora_alpha": 32,
        "learning_rate": 5e-5,
    }
    assert asked[0] == asked[0] | changed
    assert asked[0]["path"] == str(folder)


def test_a_finished_run_is_not_told_that_nothing_is_left(home: Path) -> None:
    """Before anything is typed it stood there as an error."""
    place = Position(step=3, epoch=1, size=12, batch=4, total=3)
    folder = run(home, place, num_train_epochs=1.0, dataset="identity")
    page = Page(folder)
    for shown in (page.first, page.edit()):
        assert shown["lines"] == [
            "checkpoint-3 is the end of the run: all of its 3 steps are done.",
            "The run is finished. To train further, give it more epochs or steps.",
        ]
        assert (shown["wrong"], shown["ready"]) == ([], False)
    shown = page.edit(num_train_epochs="0.5")
    assert "nothing left to do" in shown["wrong"][0]
    assert not shown["ready"]
    shown = page.edit(num_train_epochs="3")
    assert "after step 3 of 9" in shown["lines"][0]
    assert (shown["wrong"], shown["ready"]) == ([], True)


def test_a_damaged_checkpoint_is_said_above_the_table(home: Path) -> None:
    folder = run(home, code=1, dataset="identity")
    newer = newer_checkpoint(folder)
    (newer / "weights").write_text("xy")
    words = Page(folder).first["lines"]
    assert words[0].startswith(f"The checkpoint {newer} is damaged: weights is missing or differs")
    assert words[1].startswith("Continues from checkpoint-3, after step 3")
    (folder / "checkpoint-3" / "weights").write_text("v")
    shown = Page(folder).edit(learning_rate="1e-5")
    assert set(shown) == {"wrong"}  # nothing else is shown, and the button cannot be pressed
    wrong = "\n".join(shown["wrong"])
    assert "holds no complete checkpoint" in wrong
    assert "checkpoint-5" in wrong


def test_what_is_refused_cannot_be_pressed(home: Path) -> None:
    """Its row says why, once; what is wrong with a value by itself stands below it."""
    folder = run(home, dataset="identity")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    page = Page(folder)
    shown = page.edit(extra_args="lora_rank=16", num_train_epochs="5")
    rows = [[row[name] for name in ("name", "then", "now", "kind")] for row in shown["changes"]]
    assert ["LoRA rank", "8", "16", "refused"] in rows
    assert shown["changes"][rows.index(["LoRA rank", "8", "16", "refused"])]["text"].startswith(
        "LoRA rank was 8 and cannot become 16"
    )
    assert (shown["wrong"], shown["ready"]) == ([], False)
    pressed = page.press(extra_args="lora_rank=16")[1]["value"]
    assert "LoRA rank" in [row["name"] for row in pressed["changes"] if row["tone"] == "bad"]
    for given in ({"learning_rate": "fast"}, {"extra_args": "nonsense"}):
        shown = page.edit(**given)
        assert shown["wrong"]
        assert not shown["ready"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_it_is_offered_where_a_training_can_go_on(home: Path) -> None:
    def offered(folder: Path) -> bool:
        runs.forget()
        return bool(build_head(runs.view(folder), "en")["resumable"])

    folder = run(home)
    assert offered(folder)  # a run that succeeded can be given more epochs
    (folder / "checkpoint-3" / "manifest.json").unlink()
    assert not offered(folder)
