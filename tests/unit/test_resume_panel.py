"""Resume with other arguments on the page: the table stands before the button can be pressed."""

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
from backend.contract.base.home import prepare
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
        _, filled, *self.first = self.panel._fill(self.path, "", "en")
        self.held = filled["value"]

    def edit(self, lang: str = "en", **given: str) -> tuple[str, str, bool]:
        """Table, what is wrong, and whether the button can be pressed."""
        held = self.held | given
        words, problem, button = self.panel._judge(self.path, self.path, lang, held)
        return words, problem["value"], button["interactive"]

    def press(self, **given: str) -> list[Any]:
        return self.panel._resume(self.path, "en", self.held | given)


def test_what_changes_is_shown_before_the_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(home, code=1, dataset="identity", lora_alpha=32, lora_dropout=0.1)
    page = Page(folder)
    assert page.held["per_device_train_batch_size"] == "4"
    assert page.first[0] == "Continues from checkpoint\\-3\\, after step 3 of 16\\.\n\n" + (
        "All arguments are as they were."
    )
    assert page.first[2]["interactive"] is False  # Resume is for that
    words, problem, ready = page.edit(learning_rate="1e-5", per_device_train_batch_size="2")
    assert (problem, ready) == ("", True)
    lines = words.splitlines()
    assert lines[2:4] == [
        "| argument | then | now | kind | what happens |",
        "|---|---|---|---|---|",
    ]
    assert [line.split(" | ")[1:4] for line in lines[4:]] == [
        ["5e\\-05", "1e\\-05", "used"],
        ["4", "2", "used"],
    ]
    assert "row 13 of 30 of epoch 1" in lines[5]
    words, _, ready = page.edit("zh", extra_args="seed=7")
    assert "| seed | 42 | 7 | 保留 |" in words
    assert ready
    words, problem, ready = page.edit(extra_args="output_dir=saves/m/lora/second")
    assert "All arguments are as they were." not in words
    assert (problem.count("goes on in its own folder"), ready) == (1, False)
    asked: list[dict[str, Value]] = []
    monkeypatch.setattr(
        launch, "resume", lambda path, values: asked.append({"path": str(path), **values})
    )
    box, problem, *_ = page.press(num_train_epochs="5", extra_args="lora_dropout=0.2")
    assert (box["open"], problem["value"]) == (False, "")
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
    for words, problem, ready in (
        (page.first[0], page.first[1]["value"], page.first[2]["interactive"]),
        page.edit(),
    ):
        assert words == (
            "checkpoint\\-3 is the end of the run\\: all of its 3 steps are done\\.\n\n"
            "The run is finished. To train further, give it more epochs or steps."
        )
        assert (problem, ready) == ("", False)
    words, problem, ready = page.edit(num_train_epochs="0.5")
    assert "nothing left to do" in problem
    assert not ready
    words, problem, ready = page.edit(num_train_epochs="3")
    assert "after step 3 of 9" in words
    assert (problem, ready) == ("", True)


def test_a_damaged_checkpoint_is_said_above_the_table(home: Path) -> None:
    folder = run(home, code=1, dataset="identity")
    newer = newer_checkpoint(folder)
    (newer / "weights").write_text("xy")
    words = Page(folder).first[0].replace("\\", "").split("\n\n")
    assert words[0].startswith(f"The checkpoint {newer} is damaged: weights is missing or differs")
    assert words[1].startswith("Continues from checkpoint-3, after step 3")
    (folder / "checkpoint-3" / "weights").write_text("v")
    words, problem, ready = Page(folder).edit(learning_rate="1e-5")
    assert (words, ready) == ("", False)
    assert "holds no complete checkpoint" in problem
    assert "checkpoint-5" in problem.replace("\\", "")


def test_what_is_refused_cannot_be_pressed(home: Path) -> None:
    """The table says why, once; what is wrong with a value by itself stands below it."""
    folder = run(home, dataset="identity")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    page = Page(folder)
    words, problem, ready = page.edit(extra_args="lora_rank=16", num_train_epochs="5")
    assert "| lora\\_rank | 8 | 16 | refused |" in words
    assert (problem, ready) == ("", False)
    assert "lora_rank" in page.press(extra_args="lora_rank=16")[1]["value"]
    for given in ({"learning_rate": "fast"}, {"extra_args": "nonsense"}):
        _, problem, ready = page.edit(**given)
        assert problem
        assert not ready
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_it_is_offered_where_a_training_can_go_on(home: Path) -> None:
    def offered(folder: Path) -> bool:
        runs.forget()
        return bool(build_head(runs.view(folder), "en")["resumable"])

    folder = run(home)
    assert offered(folder)  # a run that succeeded can be given more epochs
    (folder / "checkpoint-3" / "manifest.json").unlink()
    assert not offered(folder)
