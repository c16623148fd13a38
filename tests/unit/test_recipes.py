"""Recipes: what a file may say, who wins when several say it, and the commands that come of it."""

import shlex
from pathlib import Path

import pytest

from app import ui
from app.services.runs import recipes as page
from app.services.runs import runs
from app.tabs.recipes import select
from app.tabs.run.run_panel import EVENTS
from backend.cli.commands import dispatch
from backend.contract.arguments.arguments import from_argv
from backend.contract.folders.home import prepare
from backend.contract.launching import recipes
from backend.contract.launching.recipes import Plan
from backend.contract.texts.problems import UsageError

CHAIN = """
base: {model_name_or_path: org/model, dataset: identity, learning_rate: 1.0e-3, lora_rank: 4}
stages:
  - name: one
    arguments: {finetuning_type: full, learning_rate: 2.0e-3}
  - name: two
    model: one
    arguments: {dataset: [general_en, general_zh]}
  - name: out
    task: export
    model: one
    adapter: two
"""
TABS = ("train", "recipe", "runs")
SHIPPED = sorted(path.stem for path in (Path(__file__).parents[2] / "data/recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the demo data."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    prepare()
    runs.forget()
    (tmp_path / "chain.yaml").write_text(CHAIN)
    return tmp_path


def planned(**given: object) -> Plan:
    """The plan of CHAIN; __ in a name stands for the dot."""
    values = {name.replace("__", "."): value for name, value in given.items()}
    return recipes.plan(recipes.read("chain.yaml"), "g", values)


def codes(plan: Plan) -> list[tuple[str, str, object]]:
    return [
        (problem.code, problem.field, problem.params.get("at", ""))
        for problem in recipes.check(plan)
    ]


def refused(file: Path) -> list[str]:
    with pytest.raises(UsageError) as error:
        recipes.read(str(file))
    return [problem.code for problem in error.value.problems if problem.text("zh")]


def test_each_stage_is_a_run_of_its_own_in_a_row(home: Path) -> None:
    plan = planned()
    assert codes(plan) == []
    assert [str(step.folder.relative_to(home)) for step in plan.steps] == [
        "saves/model/full/g-1-one",
        "saves/model/lora/g-2-two",
        "saves/model/lora/g-3-out",
    ]
    one, two, out = (step.values for step in plan.steps)
    assert one["learning_rate"] == 2e-3
    assert (two["learning_rate"], two["lora_rank"]) == (1e-3, 4)
    assert two["dataset"] == "general_en,general_zh"
    assert two["model_name_or_path"] == out["model_name_or_path"] == one["output_dir"]
    assert out["adapter_name_or_path"] == "saves/model/lora/g-2-two"
    assert out["export_dir"] == "saves/models/g"
    assert plan.folder == home / "saves/recipes/chain/g"


def test_the_commands_shown_are_those_that_the_parser_takes() -> None:
    for step in planned().steps:
        words = shlex.split(step.command.shell())
        assert words[:2] == ["tuneboard", step.task]
        values, problems = from_argv(words[2:], step.task)
        assert problems == []
        assert {**values, "output_dir": ""} == {**step.values, "output_dir": ""}


def test_what_is_given_goes_before_the_recipe() -> None:
    plan = planned(learning_rate="5e-4", two__lora_rank="16", model_name_or_path="org/other")
    assert [step.values.get("learning_rate") for step in plan.steps] == [5e-4, 5e-4, None]
    assert plan.steps[1].values["lora_rank"] == 16
    assert plan.steps[0].values["model_name_or_path"] == "org/other"
    assert plan.steps[1].values["model_name_or_path"] == "saves/other/full/g-1-one"
    plan = planned(two__model_name_or_path="org/third")
    assert plan.steps[1].values["model_name_or_path"] == "org/third"
    assert plan.steps[1].links == {}


def test_a_mistake_in_a_later_stage_is_told_before_the_first_starts() -> None:
    plan = planned(two__learning_rate="fast", two__dataset="identty", out__export_size="-1")
    assert ("not_number", "learning_rate", "two") in codes(plan)
    assert ("dataset_unknown_near", "dataset", "two") in codes(plan)
    assert ("out_of_range", "export_size", "out") in codes(plan)
    assert all(problem.text().startswith(("two: ", "out: ")) for problem in recipes.check(plan))


def test_a_model_that_is_not_there_is_told_and_an_earlier_stage_s_is_not() -> None:
    plan = planned(model_name_or_path="saves/models/absent")
    assert codes(plan) == [("model_missing", "model_name_or_path", "one")]
    assert codes(planned()) == []


def test_a_folder_in_the_way_is_told(home: Path) -> None:
    folder = home / "saves/model/lora/g-2-two"
    folder.mkdir(parents=True)
    assert codes(planned()) == []
    (folder / "run.json").write_text("{}")
    assert codes(planned()) == [("output_dir_in_use", "output_dir", "two")]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"learnig_rate": "1"}, "unknown_argument_near"),
        ({"nine.lora_rank": "1"}, "recipe_no_such_stage"),
        ({"one.output_dir": "x"}, "recipe_no_such_stage"),
        ({"output_dir": "x"}, "recipe_output_dir"),
    ],
)
def test_nothing_that_is_given_is_lost(given: dict[str, object], code: str) -> None:
    plan = recipes.plan(recipes.read("chain.yaml"), "g", given)
    assert [problem[0] for problem in codes(plan)] == [code]


def test_what_a_stage_is_given_in_vain_is_said_and_the_base_is_not() -> None:
    notices = [p for p in recipes.check(planned(one__lora_rank=16)) if p.notice]
    assert [(p.code, p.field, p.params["at"]) for p in notices] == [
        ("does_not_apply", "lora_rank", "one")
    ]


@pytest.mark.parametrize("name", ["../x", "a/b", "x" * 300, "CON"])
def test_the_group_s_name_is_a_name(name: str) -> None:
    plan = recipes.plan(recipes.read("chain.yaml"), name, {})
    assert any(code.startswith("name_") for code, _, _ in codes(plan))


def test_the_written_recipe_gives_the_same_runs(home: Path) -> None:
    plan = planned(learning_rate="5e-4", two__seed="7", hf_hub_token="hf_SECRET")
    assert "SECRET" not in plan.text() + plan.command.shell() + repr(plan.command.argv)
    assert plan.command.env == {"HF_TOKEN": "hf_SECRET"}
    (home / "args.yaml").write_text(plan.text())
    again = recipes.plan(recipes.read("args.yaml"), "g", {})
    assert [step.command.argv for step in again.steps] == [s.command.argv for s in plan.steps]
    other = recipes.plan(recipes.read("args.yaml"), "h", {})
    assert other.steps[2].values["export_dir"] == "saves/models/h"


def test_the_group_s_command_gives_the_same_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planned(learning_rate=5e-4, two__lora_rank=16, two__dataset="identity")
    words = shlex.split(plan.command.shell())
    assert words[:2] == ["tuneboard", "recipe"]
    assert dispatch(["recipe", *words[2:], "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [s.command.shell() for s in plan.steps]


STAGE = "stages:\n  - name: one\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("stages: []", ["recipe_shape"]),
        ("stages: {a: b}", ["recipe_shape"]),
        ("base: [1]\n" + STAGE, ["recipe_shape"]),
        ("stages: [one]", ["recipe_stage"]),
        (STAGE + "    arguments: 3\n", ["recipe_stage"]),
        (STAGE + "    modle: x\n", ["recipe_key"]),
        ("steps: []\n" + STAGE, ["recipe_key"]),
        (STAGE + "  - name: one\n", ["recipe_stage_name"]),
        ("stages: [{name: ../x}]", ["recipe_stage_name"]),
        (STAGE + "    task: chat\n", ["recipe_task"]),
        (STAGE + "    model: two\n", ["recipe_link"]),
        (STAGE + "    model: one\n", ["recipe_link"]),
        (STAGE + "    arguments: {output_dir: x}\n", ["recipe_output_dir"]),
        ("stages: &a [*a]", ["yaml_alias"]),
        ("stages: [", ["bad_yaml"]),
        (
            "stages: [{name: A}, {task: x}]",
            ["recipe_stage_name", "recipe_stage_name", "recipe_task"],
        ),
    ],
)
def test_a_broken_file_is_told(content: str, expected: list[str], home: Path) -> None:
    (home / "own.yaml").write_text(content)
    assert refused(home / "own.yaml") == expected


def test_an_unknown_recipe_names_those_that_are_known() -> None:
    with pytest.raises(UsageError) as error:
        recipes.read("nothing")
    assert "preference_dpo" in error.value.problems[0].text()


def test_own_recipes_lie_beside_the_shipped_ones(home: Path) -> None:
    (home / "data/recipes/mine.yaml").write_text("description: of <mine>\n" + CHAIN.strip())
    assert [*recipes.list_recipes()] == [*SHIPPED, "mine"]
    assert page.title("mine", "zh") == "mine"
    assert "of \\<mine\\>" in page.text(recipes.read("mine"), "en")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_sound(name: str) -> None:
    """Every stage is accepted as it stands; only the starter model may be missing here."""
    assert len(SHIPPED) == 9
    plan = recipes.plan(recipes.read(name), "g", {"model_name_or_path": "org/model"})
    assert [problem.text() for problem in recipes.check(plan)] == []
    for lang in ("en", "zh"):
        assert page.title(name, lang) != name
        words = page.text(recipes.read(name), lang)
        assert all(f"{number}. **" in words for number in range(1, len(plan.steps) + 1))
    assert page.text(recipes.read(name), "en") != page.text(recipes.read(name), "zh")


def test_the_page_gives_what_was_changed_only() -> None:
    held = ["org/model", "auto", "", "huggingface", "main", "", "", "", False, "auto"]
    bar = dict(zip(page.BAR, held, strict=True))
    selection = select(
        "preference_dpo", "g", "sft.seed=7\n\nlogging_steps=2", [["pretrain_en"]], bar
    )
    plan, problems = page.plan(selection)
    assert plan is not None
    assert problems == []
    assert plan.settings == {
        "model_name_or_path": "org/model",
        "sft.seed": "7",
        "logging_steps": "2",
    }
    selection = select(
        "preference_dpo", "g", "", [["pretrain_en"], ["identity", "general_zh"]], bar
    )
    plan, _ = page.plan(selection)
    assert plan is not None
    assert plan.settings["sft.dataset"] == "identity,general_zh"


def test_the_page_tells_a_line_that_is_none() -> None:
    _, problems = page.plan(page.Selection("chat_domain_sft", "g", {}, {}, "hello"))
    assert "stray_word" in [problem.code for problem in problems]
    plan, problems = page.plan(page.Selection("../../etc/passwd", "g", {}, {}, ""))
    assert plan is None
    assert [problem.code for problem in problems] == ["recipe_unknown"]


def test_the_table_of_a_group(home: Path) -> None:
    plan = planned()
    plan.folder.mkdir(parents=True)
    (plan.folder / "args.yaml").write_text(plan.text())
    (plan.folder / "run.json").write_text('{"kind": "recipe"}')
    plan.steps[0].folder.mkdir(parents=True)
    (plan.steps[0].folder / "run.json").write_text('{"kind": "train"}')
    (plan.steps[0].folder / "exit.json").write_text('{"code": 0}')
    (plan.folder / "exit.json").write_text('{"code": 1}')
    rows = page.rows(plan.folder, "en")
    assert [[row.number, row.name, row.state] for row in rows] == [
        ["", "whole chain", "Failed"],
        ["1", "Supervised (SFT) · one", "Succeeded"],
        ["2", "Supervised (SFT) · two", "not started"],
        ["3", "Export", "not started"],
    ]
    assert [view.path for view in page.groups()] == [plan.folder]
    assert [row.run for row in rows] == [str(plan.folder), str(plan.steps[0].folder), "", ""]
    assert [row.tone for row in rows] == ["bad", "good", "quiet", "quiet"]
    assert page.find_group(str(plan.folder)) == plan.folder
    assert page.find_group(str(plan.steps[0].folder)) is None


def test_every_button_of_a_run_does_something() -> None:
    """Chat in the Runs tab was wired to nothing."""
    built = ui.build({})
    panels = {
        block._id: block.elem_id
        for block in built.blocks.values()
        if str(getattr(block, "elem_id", "")) in {f"{tab}-run" for tab in TABS}
    }
    assert len(panels) == len(TABS)
    wired = {target for function in built.fns.values() for target in function.targets}
    assert {(panel, event) for panel in panels for event in EVENTS} <= wired
