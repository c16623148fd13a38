"""The form on the server: it judges what arrives as if no page had sent it (A-02, A-03)."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import ui
from app.form import Form
from app.i18n import Texts
from app.tabs.run import launching
from app.tabs.run.launching import Launcher
from backend.contract.arguments.fields import FIELDS

NAMES = [row.name for row in FIELDS.values() if "train" in row.tasks and row.widget != "none"]


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Form:
    """The Train form as the page draws it; it keeps nothing of those who use it."""
    with pytest.MonkeyPatch.context() as patch, gr.Blocks():
        patch.setenv("TUNEBOARD_HOME", str(tmp_path_factory.mktemp("home")))
        form = Form("train", Texts())
        form.add(*NAMES, start={"model_name_or_path": "saves/models/m", "dataset": "identity"})
    return form


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> gr.Blocks:
    """The whole page in an empty working folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEBOARD_HOME", str(tmp_path_factory.mktemp("home")))
        return ui.build()


@pytest.fixture
def launcher(form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """What judges the Train form, with a model that is really there."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(launching, "check_paths", lambda values, task: [])
    context: Any = None
    return Launcher("train", form, context)


def given(launcher: Launcher, **changes: Any) -> list[Any]:
    """What the widgets hold, some of them forged."""
    assert set(changes) <= set(launcher.form.widgets)
    return [changes.get(name, box.value) for name, box in launcher.form.widgets.items()]


def fields_refused(launcher: Launcher, **changes: Any) -> set[str]:
    _, problems = launcher.judge(given(launcher, **changes), "m", "run")
    return {problem.field for problem in problems if not problem.notice}


def test_the_form_as_it_is_has_no_problem(launcher: Launcher) -> None:
    assert fields_refused(launcher) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", "nan"),
        ("learning_rate", float("nan")),
        ("learning_rate", {"a": 1}),
        ("num_train_epochs", "1e400"),
        ("per_device_train_batch_size", 0),
        ("per_device_train_batch_size", True),
        ("seed", -1),
        ("finetuning_type", "evil"),
        ("stage", "ppo; rm -rf /"),
        ("optim", ["adamw_torch", "sgd"]),
        ("bf16", "perhaps"),
        ("dataset", []),
        ("cache_dir", "a\0b"),
    ],
)
def test_a_forged_value_is_refused_at_its_field(launcher: Launcher, name: str, value: Any) -> None:
    assert fields_refused(launcher, **{name: value}) == {name}


def test_hidden_values_reach_nothing(launcher: Launcher) -> None:
    """A field that does not apply is not written, whatever the page sends for it."""
    forged = given(launcher, finetuning_type="full", lora_rank="64")
    values, problems = launcher.judge(forged, "m", "run")
    assert problems == []
    assert values["lora_rank"] == FIELDS["lora_rank"].default


@pytest.mark.parametrize(
    ("name", "value", "others"),
    [
        ("lora_rank", "evil", {"finetuning_type": "full"}),
        ("use_apollo", "maybe", {}),
        ("galore_rank", "0", {"finetuning_type": "full"}),
        ("reward_functions", "nice", {}),
        ("interleave_probs", "a,b", {}),
    ],
)
def test_a_wrong_value_of_a_hidden_field_is_refused_and_shown(
    launcher: Launcher, name: str, value: str, others: dict[str, Any]
) -> None:
    forged = given(launcher, **others, **{name: value})
    assert fields_refused(launcher, **others, **{name: value}) == {name}
    values, problems = launcher.judge(forged, "m", "run")
    updates, shown = launcher.form.marks(values, problems, {}, "en")
    mark = dict(zip(launcher.form.widgets, updates, strict=False))[name]
    assert (mark.get("visible", True), mark["elem_classes"]) == (True, ["wrong"])
    values, problems = launcher.judge(given(launcher, **others), "m", "run")
    updates, _ = launcher.form.marks(values, problems, shown, "en")
    assert dict(zip(launcher.form.widgets, updates, strict=False))[name]["visible"] is False


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\0b", ".", "-x", "x" * 300, "CON", "$HOME"])
def test_a_forged_run_name_starts_nothing(
    launcher: Launcher, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-01: no folder is made, the page says why."""
    monkeypatch.setattr(launching.launch, "start", lambda *a, **k: pytest.fail("launched"))
    _, _, _, _, words, _ = launcher._start("en", {}, None, "m", name, *given(launcher))
    assert words["visible"] is True
    assert words["value"]
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_run_becomes_its_folder(launcher: Launcher, tmp_path: Path) -> None:
    """Typed into a box, as the tutorial's `Qwen2_rm_output_demo1`: the command has the path, and
    the box says what the name means."""
    folder = tmp_path / "saves" / "m" / "lora" / "first"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"kind": "train"}')
    (folder / "adapter_config.json").write_text("{}")
    boxes = given(launcher, adapter_name_or_path=["first"])
    values, problems = launcher.judge(boxes, "m", "run")
    assert values["adapter_name_or_path"] == "saves/m/lora/first"
    updates, _ = launcher.form.marks(values, problems, {}, "en")
    mark = dict(zip(launcher.form.widgets, updates, strict=False))["adapter_name_or_path"]
    assert "saves/m/lora/first" in mark["info"]


def test_marks_say_only_what_changed(launcher: Launcher) -> None:
    form = launcher.form
    values, problems = launcher.judge(given(launcher), "m", "run")
    _, shown = form.marks(values, problems, {}, "en")
    again, _ = form.marks(values, problems, shown, "en")
    assert all(update.get("__type__") == "update" and len(update) == 1 for update in again)
    values, problems = launcher.judge(given(launcher, learning_rate="x"), "m", "run")
    third, _ = form.marks(values, problems, shown, "zh")
    mark = third[list(form.widgets).index("learning_rate")]
    assert mark["info"].startswith("⚠")
    assert mark["elem_classes"] == ["wrong"]
    assert "数字" in mark["info"]


def test_every_control_of_the_argument_table_is_drawn_once(page: gr.Blocks) -> None:
    """None is missing: each visible row is on the page, and no id is there twice."""
    ids = [block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)]
    assert len(ids) == len(set(ids))
    hidden = {"output_dir", "resume_from_checkpoint", "do_predict"}
    assert {name for name in NAMES if name not in hidden} <= set(ids)


def test_no_button_sends_anything_to_a_web_site(page: gr.Blocks) -> None:
    """Gradio's share button opens a web site with all of a chat in the address."""
    offered = [getattr(block, "buttons", None) or [] for block in page.blocks.values()]
    assert any("copy_all" in each for each in offered)
    assert not any("share" in each for each in offered)
