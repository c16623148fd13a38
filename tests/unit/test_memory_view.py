"""The estimate of a training's memory as the page draws it, and the child that makes it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from app.services.runs import memory_view
from app.services.runs.hardware import GIB
from app.tabs.run.memory_questions import make_questions
from backend.contract.preflight import estimates
from backend.contract.texts.problems import ModelError, Problem, TuneboardError
from tests.unit.forms import train_form
from tests.unit.stand_in import stand_in_for_children

PARTS = {"weights": 2 * GIB, "quantized": GIB, "framework": GIB // 2}
WORKLOAD = {"rows": 2, "length": 65, "learned": 52, "masked": True, "answer": 0}


def peak(*free: int, unknown: tuple[str, ...] = (), checkpointing: str = "") -> dict[str, Any]:
    places = [{"name": f"GPU {at}", "free": each, "all": each} for at, each in enumerate(free)]
    total = sum(PARTS.values())
    return {
        "parts": PARTS,
        "total": total,
        "places": places,
        "workload": WORKLOAD,
        "unknown": unknown,
        "checkpointing": checkpointing,
    }


@pytest.mark.parametrize(
    ("free", "state", "words"),
    [
        (21.0, "fits", "3.5 of 21.0 GB free"),
        (3.6, "tight", "3.5 of 3.6 GB free: a close fit"),
        (3.4, "exceeds", "Will not fit: needs 3.5 GB, 3.4 GB are free"),
    ],
)
def test_it_fits_with_a_tenth_to_spare(free: float, state: str, words: str) -> None:
    view = memory_view.describe(peak(int(free * GIB)), "en")
    assert (view["state"], view["places"][0]["line"]) == (state, words)
    assert view["places"][0]["label"] == (
        f"{words} (weights 2.0 GB, quantized weights 1.0 GB, Python and libraries 0.5 GB)"
    )


def test_the_fullest_of_several_gpus_decides_and_each_is_named() -> None:
    view = memory_view.describe(peak(21 * GIB, 3 * GIB, unknown=("framework",)), "en")
    assert view["state"] == "exceeds"
    assert [place["line"][:5] for place in view["places"]] == ["GPU 0", "GPU 1"]
    assert "driver" in view["notes"][-1]


def test_parts_of_a_like_kind_share_a_color() -> None:
    kinds = [part["kind"] for part in memory_view.describe(peak(GIB), "zh")["parts"]]
    assert kinds == ["weights", "weights", "overhead"]


def test_one_calm_line_where_there_is_no_estimate() -> None:
    unreachable = memory_view.explain(
        ModelError(
            Problem(code="hub_not_found", params={"name": "a/b", "path": "p", "places": "p"})
        ),
        "en",
    )
    assert unreachable["line"] == "The memory can be estimated once the model is on this machine."
    params: dict[str, str | int | float] = {"name": "stage", "value": "rloo"}
    refused = TuneboardError(Problem(code="estimate_unknown", params=params))
    assert memory_view.explain(refused, "en")["line"].endswith("with stage rloo.")


CHILD = """
import json, os, sys
for line in sys.stdin:
    values = json.loads(line)["values"]
    if values["stage"] == "rm":
        sys.exit("out of luck")
    peak = {"parts": {"weights": 1}, "total": 1, "places": [], "unknown": [], "pid": os.getpid()}
    peak["checkpointing"] = ""
    print(json.dumps({"answer": {**peak, "offline": os.environ["HF_HUB_OFFLINE"]}}), flush=True)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A child that knows no torch."""
    stand_in_for_children(CHILD, tmp_path, monkeypatch)
    yield estimates.child
    estimates.child.end()


def test_the_child_stays_and_downloads_nothing(child: Any) -> None:
    first = estimates.estimate({"stage": "sft"})
    assert first["offline"] == "1"
    assert child.pid == first["pid"] == estimates.estimate({"stage": "pt"})["pid"]


def test_a_child_that_was_killed_is_started_again(child: Any) -> None:
    first = estimates.estimate({"stage": "sft"})["pid"]
    os.kill(first, signal.SIGKILL)
    assert estimates.estimate({"stage": "sft"})["pid"] != first
    assert child.pid not in {first, None}


def test_a_crash_is_told_in_one_line_and_the_next_question_answered(child: Any) -> None:
    with pytest.raises(ModelError) as caught:
        estimates.estimate({"stage": "rm"})
    line = memory_view.explain(caught.value, "en")["line"]
    assert line == "The memory cannot be estimated right now: out of luck"
    assert child.pid is None
    assert estimates.estimate({"stage": "sft"})["total"] == 1


def test_a_form_without_a_model_or_with_a_wrong_value_asks_nobody(child: Any) -> None:
    ask, *_ = make_questions(train_form())
    assert ask({"values": {}, "lang": "en"}) == {"ok": True, "state": "none"}
    wrong = {"model_name_or_path": "m", "cutoff_len": "x"}
    assert ask({"values": wrong, "lang": "en"}) == {"ok": True, "state": "none"}
    assert child.pid is None


def test_a_fit_says_what_it_changes_and_costs() -> None:
    changes = {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "cutoff_len": 512,
    }
    values = {
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "cutoff_len": 2048,
    }
    fit = {"changes": changes, "total": GIB, "share_cut": 0.25}
    words = memory_view.describe_fit(fit, values, "en")
    assert words["needed"] == "1.0 GB are needed with:"
    assert [line["change"] for line in words["lines"]][::2] == [
        "Batch size: 4 → 1",
        "Cutoff length: 2048 → 512",
    ]
    assert words["lines"][2]["cost"] == "Examples beyond 512 tokens are cut: 25% of them."
    nothing = memory_view.describe_fit({"changes": {}, "total": 0, "share_cut": None}, {}, "en")
    assert nothing["lines"] == []
    assert nothing["needed"].startswith("No other setting")


def test_a_fit_also_changes_what_stands_among_the_further_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That box goes over the fields: a change of the field alone would do nothing."""
    changes = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 16}
    answer = {"changes": changes, "total": GIB, "share_cut": None}
    monkeypatch.setattr(estimates, "fit", lambda _: answer)
    fit = {each.__name__: each for each in make_questions(train_form())}["fit"]
    text = "per_device_train_batch_size=8\nlora_rank=4"
    values = {"model_name_or_path": "m", "extra_args": text}
    assert fit({"values": values, "lang": "en"})["put"] == {
        "per_device_train_batch_size": "1",
        "gradient_accumulation_steps": "16",
        "extra_args": "lora_rank=4",
    }
    plain = fit({"values": {**values, "extra_args": "lora_rank=4"}, "lang": "en"})["put"]
    assert "extra_args" not in plain
