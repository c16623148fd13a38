"""/v1/score: a reward model of the stage rm gives what its own evaluation computes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.evaluation import evaluate
from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend import preferences
from tests.backend.preferences import HELD, train_preferences
from tests.backend.test_serve_process import api_values, listening
from tests.failures.conftest import until

QUESTIONS = [row["instruction"] for row in HELD]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "data").mkdir()
    (home / "saves").mkdir()
    return home


@pytest.fixture(scope="module")
def adapter(home: Path, tiny_model_dir: Path) -> Path:
    return train_preferences(home, tiny_model_dir, stage="rm", max_steps=20, learning_rate=5e-3)


@pytest.fixture(scope="module")
def address(adapter: Path, tiny_model_dir: Path) -> Iterator[str]:
    values = api_values(
        model_name_or_path=str(tiny_model_dir),
        adapter_name_or_path=str(adapter),
        api_model_name="judge",
    )
    service = Service("judge", lambda: Engine.load(values))
    with listening(service) as made:
        until(lambda: service.state == "ready", 60)
        yield made


def scores(address: str, **body: Any) -> list[float]:
    """The scores of a request, in their order."""
    answer = httpx.post(f"{address}/v1/score", json={"model": "judge", **body}, timeout=60)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["object"] == "list"
    assert content["usage"]["total_tokens"] > 0
    assert [row["index"] for row in content["data"]] == list(range(len(content["data"])))
    return [row["score"] for row in content["data"]]


def test_the_scores_are_those_of_the_evaluation(
    address: str, adapter: Path, home: Path, tiny_model_dir: Path
) -> None:
    options = {
        **preferences.arguments(stage="rm"),
        "model_name_or_path": str(tiny_model_dir),
        "adapter_name_or_path": str(adapter),
        "dataset_dir": str(home / "data"),
        "eval_dataset": "held_pairs",
        "do_eval": True,
    }
    names = {"model_name_or_path", "adapter_name_or_path", "dataset_dir", "eval_dataset", "stage"}
    values, problems = arguments.parse({n: v for n, v in options.items() if n in names}, "eval")
    assert not problems
    target = home / "saves" / "evaluation"
    target.mkdir()
    evaluate.run(resolve(values), target)
    results = json.loads((target / "all_results.json").read_text())
    means = {}
    for side in ("chosen", "rejected"):
        own = scores(address, text_1=QUESTIONS, text_2=[row[side] for row in HELD])
        means[side] = sum(own) / len(own)
    assert means["chosen"] == pytest.approx(results["eval_rewards/chosen"], rel=1e-4)
    assert means["rejected"] == pytest.approx(results["eval_rewards/rejected"], rel=1e-4)
    assert means["chosen"] - means["rejected"] > 0.1


def test_one_question_has_many_answers_and_lists_go_together(address: str) -> None:
    answers = ["It is 9.", "Go and ask someone else than me about 2."]
    several = scores(address, text_1=QUESTIONS[2], text_2=answers)
    pairs = scores(address, text_1=[QUESTIONS[2]] * 2, text_2=answers)
    alone = [scores(address, text_1=QUESTIONS[2], text_2=each)[0] for each in answers]
    assert several == pytest.approx(pairs, abs=1e-5)
    assert several == pytest.approx(alone, abs=1e-5)
    other = httpx.post(f"{address}/score", json={"text_1": QUESTIONS[2], "text_2": answers})
    assert [row["score"] for row in other.json()["data"]] == pytest.approx(several, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "base"}, "model", "reward_no_head"),
        ({"text_1": ["a", "b", "c"], "text_2": ["a", "b"]}, "text_2", "texts_differ"),
        ({"text_2": None}, "text_2", "bad_parameter"),
        ({"text_2": []}, "text_2", "bad_parameter"),
        ({"text_2": "a " * 5000}, "text_2", "prompt_too_long"),
        ({"truncate_prompt_tokens": 3}, "truncate_prompt_tokens", "unknown_parameter"),
    ],
)
def test_what_is_refused(address: str, body: dict[str, Any], param: str, code: str) -> None:
    asked = {"model": "judge", "text_1": "a", "text_2": "b", **body}
    answer = httpx.post(f"{address}/v1/score", json=asked, timeout=60)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"].split(".")[0], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
