"""The figures of a stage on the run panel: which, how they are drawn, and when they are sent."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.services.runs import charts, runs
from app.tabs.run import figure_panel
from backend.contract.base import metrics
from backend.contract.base.metrics import Metrics
from backend.contract.base.texts import has, languages
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from tests.unit.test_run_panel import Page, folder, view  # noqa: F401 (fixtures)

PAIRS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")


def _rows(count: int, *names: str) -> list[Metrics]:
    return [
        Metrics(step=step, loss=0.5, more={name: step / count for name in names})
        for step in range(1, count + 1)
    ]


def _drawn(rows: list[Metrics], *names: str, lang: str = "en") -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(charts.figures(rows, names, lang, revision="run"))
    return figure


@pytest.mark.parametrize(
    ("found", "first"),
    [
        (PAIRS, ["rewards/accuracies", "rewards/margins"]),
        (("kl", "reward", "completion_length"), ["reward", "kl"]),
        (
            ("reward_std", "clipped_ratio", "completion_length", "reward"),
            ["reward", "completion_length"],
        ),
        (("eval_accuracy",), ["accuracy"]),
        (("zeta", "alpha", "beta"), ["alpha", "beta"]),
        ((), []),
    ],
)
def test_what_matters_most_to_a_stage_is_shown_first(found: Any, first: list[str]) -> None:
    names = charts.figure_names(found)
    assert figure_panel.chosen(names, ()) == first


def test_figures_of_training_and_evaluation_are_one() -> None:
    assert charts.figure_names(["kl", "eval_kl", "eval_reward", "mine", "eval_mine"]) == [
        "reward",
        "kl",
        "mine",
    ]


def test_a_foreign_file_cannot_flood_the_page() -> None:
    assert len(charts.figure_names(f"n{one}" for one in range(5000))) == charts.MAX_NAMES


def test_every_known_figure_is_explained_in_every_language() -> None:
    assert len(charts.KNOWN) > 10
    for name in charts.KNOWN:
        assert has(figure_panel.explanation(name))
    for lang in languages():
        shown = figure_panel.shown(charts.KNOWN, ["kl", "mine"], lang)
        assert shown["meaning"]["value"].startswith("`kl` ")
        assert "mine" not in shown["meaning"]["value"]


def test_what_was_picked_is_kept_where_the_run_has_it() -> None:
    assert figure_panel.chosen(["a", "b", "c"], ["c", "gone"]) == ["c"]
    assert figure_panel.chosen(["a", "b", "c"], ["gone"]) == ["a", "b"]
    many = [f"n{one}" for one in range(20)]
    assert len(figure_panel.chosen(many, many)) == figure_panel.MOST


def test_each_figure_has_a_strip_and_a_scale_of_its_own() -> None:
    figure = _drawn(_rows(3, "kl", "reward"), "reward", "kl")
    assert [(one["yaxis"], one["y"][-1]) for one in figure["data"]] == [("y", 1.0), ("y2", 1.0)]
    layout = figure["layout"]
    assert layout["yaxis"]["domain"][0] == layout["annotations"][1]["y"] == 0.5
    assert layout["yaxis2"]["domain"][1] < 0.5
    assert layout["xaxis"]["anchor"] == "y2"
    assert [one["text"] for one in layout["annotations"]] == ["<b>reward</b>", "<b>kl</b>"]
    assert _drawn(_rows(3, "kl"), "kl")["layout"]["height"] < layout["height"]


def test_evaluation_is_drawn_with_training_and_named_once() -> None:
    rows = [*_rows(3, "kl", "reward"), Metrics(step=3, eval_loss=1.0, more={"eval_kl": 7.0})]
    figure = _drawn(rows, "reward", "kl")
    found = [(one["name"], one["yaxis"], one["showlegend"]) for one in figure["data"]]
    assert found == [
        ("training", "y", True),
        ("training", "y2", False),
        ("evaluation", "y2", True),
    ]
    assert figure["data"][2]["y"] == [7.0]


def test_long_curves_are_thinned_and_smoothed() -> None:
    start = time.process_time()
    text = charts.figures(_rows(50_000, *PAIRS), PAIRS, "en")
    assert time.process_time() - start < 2
    assert len(text) < 400_000
    assert {trace["name"] for trace in json.loads(text)["data"]} == {"training", "smoothed"}


def test_numbers_that_are_none_leave_a_gap_and_names_are_no_markup() -> None:
    name = "<a href='x'>kl</a>"
    rows = [Metrics(step=1, more={name: float("nan")}), Metrics(step=2, more={name: 2.0})]
    figure = _drawn(rows, name)
    assert figure["data"][0]["y"] == [None, 2.0]
    assert "<a" not in figure["layout"]["annotations"][0]["text"]


def _log(run: Path, step: int, **more: float) -> None:
    row = Metrics(step=step, loss=1.0, tokens=step, more={"kl": 0.5, "reward": 1.0, **more})
    metrics.append(run / run_folder.METRICS, row)


def test_a_run_without_figures_has_no_second_plot(folder: Path, view: dict[str, Any]) -> None:  # noqa: F811
    sent = Page(folder).look()
    assert "train-run-stage-chart" not in sent
    assert "train-run-pick" not in sent


def test_figures_come_as_they_are_logged(folder: Path, view: dict[str, Any]) -> None:  # noqa: F811
    page = Page(folder)
    page.look()
    _log(folder, 4)
    sent = page.look()
    assert sent["train-run-pick"]["choices"] == sent["train-run-pick"]["value"] == ["reward", "kl"]
    assert "reward" in sent["train-run-meaning"]["value"]
    assert json.loads(sent["train-run-stage-chart"].plot)["data"][0]["x"] == [4]
    page.given[5] = ["reward", "kl"]  # as the browser now holds it
    assert page.look() == {}
    _log(folder, 5)
    assert page.look().keys() == {"train-run-chart", "train-run-stage-chart"}


def test_a_pick_changes_the_plot_and_nothing_else(folder: Path, view: dict[str, Any]) -> None:  # noqa: F811
    _log(folder, 4, mine=3.0)
    page = Page(folder)
    page.look()
    page.given[5] = ["mine"]
    sent = page.look()
    assert sent.keys() == {"train-run-pick", "train-run-meaning", "train-run-stage-chart"}
    assert sent["train-run-pick"]["value"] == ["mine"]
    assert json.loads(sent["train-run-stage-chart"].plot)["data"][0]["y"] == [3.0]
    view["task"] = "export"
    assert "train-run-stage-chart" not in Page(folder).look()
    view.update(task="train", state=State.SUCCEEDED)
    assert "train-run-stage-chart" in Page(folder).look()


def test_names_are_gathered_as_rows_come(tmp_path: Path) -> None:
    _log(tmp_path, 1)
    assert runs.history(tmp_path).figures == ("kl", "reward")
    _log(tmp_path, 2, eval_kl=1.0)
    assert runs.history(tmp_path).figures == ("kl", "reward", "eval_kl")
    (tmp_path / run_folder.METRICS).unlink()
    metrics.append(tmp_path / run_folder.METRICS, Metrics(step=1, more={"other": 1.0}))
    for step in range(2, 40):
        metrics.append(tmp_path / run_folder.METRICS, Metrics(step=step, loss=1.0))
    assert runs.history(tmp_path).figures == ("other",)
