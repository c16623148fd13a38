"""The form on the server: it judges what arrives as if no page had sent it (A-02, A-03)."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import ui
from app.form.form import Form, Schemas
from app.form.schema import Section
from app.tabs.run import launching
from app.tabs.run.launching import IDLE, Launcher
from backend.contract.arguments.fields import FIELDS
from backend.contract.launching import launch
from tests.unit.forms import ON_THE_PAGE, filled, launcher_of, train_form


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """The Train form as the page draws it, with a model that is really there."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.setattr(launching, "check_paths", lambda values, task: [])
    return launcher_of(train_form(start={"model_name_or_path": "m", "dataset": "identity"}))


def fields_refused(launcher: Launcher, **changes: Any) -> set[str]:
    _, problems = launcher.judge(filled(launcher, **changes))
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
    forged = filled(launcher, finetuning_type="full", lora_rank="64")
    values, problems = launcher.judge(forged)
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
    assert fields_refused(launcher, **others, **{name: value}) == {name}
    judgement = launcher.judgement(filled(launcher, **others, **{name: value}), "en")
    assert judgement["fields"][name]["level"] == "error"
    assert judgement["missing_field"] == name
    assert name not in launcher.judgement(filled(launcher, **others), "en")["fields"]


def test_the_limits_of_whole_numbers_are_exact() -> None:
    """Help said of a seed: "0 to 2.14748e+09"."""
    fields = train_form().schema("en")["fields"]
    assert fields["seed"]["range"] == "0 to 2147483647"
    assert fields["learning_rate"]["range"] == "0 to 10"


@pytest.mark.parametrize("task", ["eval", "export"])
def test_only_a_form_that_asks_for_a_name_is_given_one(task: str) -> None:
    """The name of a run was put among the values of Evaluate, which has no such argument."""
    form = Form(task, task, [Section("all", "", ("model_name_or_path",))])
    judgement = launcher_of(form).judgement({"model_name_or_path": ""}, "en")
    assert judgement["put"] == {}
    assert "run_name" not in judgement["fields"]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\0b", ".", "-x", "x" * 300, "CON", "$HOME"])
def test_a_forged_run_name_starts_nothing(
    launcher: Launcher, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F-01: no folder is made, the page says why."""
    monkeypatch.setattr(launch, "start", lambda *a, **k: pytest.fail("launched"))
    _, answer, refused = launcher._start(IDLE, (), filled(launcher, run_name=name))
    assert answer["value"]["state"] == "refused"
    assert all(answer["value"]["texts"][lang] for lang in ("en", "zh"))
    assert not answer["value"]["offers"]
    assert refused
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_a_run_becomes_its_folder(launcher: Launcher, tmp_path: Path) -> None:
    """Typed into a box, as the tutorial's `Qwen2_rm_output_demo1`: the command has the path, and
    the box says what the name means."""
    folder = tmp_path / "saves" / "m" / "lora" / "first"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"kind": "train"}')
    (folder / "adapter_config.json").write_text("{}")
    held = filled(launcher, adapter_name_or_path=["first"])
    values, _ = launcher.judge(held)
    assert values["adapter_name_or_path"] == "saves/m/lora/first"
    remark = launcher.judgement(held, "en")["fields"]["adapter_name_or_path"]
    assert remark["level"] == "notice"
    assert "saves/m/lora/first" in remark["text"]


def test_problems_are_in_the_language_of_the_page(launcher: Launcher) -> None:
    judgement = launcher.judgement(filled(launcher, learning_rate="x"), "zh")
    assert "数字" in judgement["fields"]["learning_rate"]["text"]


def test_every_control_of_the_argument_table_is_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is missing: each visible row is on the page, and no id is there twice."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    schemas: Schemas = {}
    ui.build(schemas)
    drawn = [*schemas["bar"]("en")["fields"], *schemas["train"]("en")["fields"]]
    assert len(drawn) == len(set(drawn))
    hidden = {"output_dir", "resume_from_checkpoint", "do_predict"}
    assert {name for name in ON_THE_PAGE if name not in hidden} <= set(drawn)


def test_no_button_sends_anything_to_a_web_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio's share button opens a web site with all of a chat in the address."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    blocks = ui.build({}).blocks.values()
    chats = [block.buttons for block in blocks if isinstance(block, gr.Chatbot)]
    assert chats
    assert None not in chats  # Gradio's own choice, which has it
    assert not any("share" in (getattr(block, "buttons", None) or []) for block in blocks)
