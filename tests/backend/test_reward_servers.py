"""PPO learns from the scores of a server: wrong answers are named, a busy server is asked again."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from backend.contract.texts.problems import TuneboardError
from backend.training import scoring
from tests.backend.test_stage_ppo import SMALL, rows
from tests.backend.training import train_small
from tests.fakes import loopback

Reply = Callable[[list[str]], tuple[int, Any]]


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    """Starts servers that answer score requests as a function says; gives the address."""
    running = ExitStack()

    def start(reply: Reply) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert asked["model"] == "model"
                status, content = reply(asked["messages"])
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return f"{running.enter_context(loopback.serving(Handler))}/v1/score/evaluation"

    with running:
        yield start


def letters(texts: list[str]) -> tuple[int, Any]:
    """The share of the letter e in each answer."""
    answers = [text.split("<|im_start|>assistant\n")[-1] for text in texts]
    return 200, {"scores": [answer.count("e") / max(1, len(answer)) for answer in answers]}


def test_the_mean_score_rises(
    workspace: Path, tiny_model_dir: Path, serve: Callable[[Reply], str]
) -> None:
    """Answers of a random model have few letters e; in 60 steps they get 30 points more."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        **{
            **SMALL,
            "reward_model": serve(letters),
            "reward_model_type": "api",
            "finetuning_type": "full",
            "ppo_kl_coef": 0.0,
            "per_device_train_batch_size": 16,
            "gradient_accumulation_steps": 1,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            "max_steps": 60,
        },
    )
    rewards = [row.more["reward"] for row in rows(folder) if "reward" in row.more]
    assert len(rewards) == 30
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.3


@pytest.mark.parametrize(
    ("reply", "code", "reason"),
    [
        (lambda _: (404, {}), "reward_api_failed", "HTTP 404"),
        (lambda _: (200, {"reward": [1.0]}), "reward_api_wrong", "'reward'"),
        (lambda _: (200, {"scores": [1.0]}), "reward_api_wrong", "2 texts"),
        (lambda _: (200, {"scores": [1.0, float("nan")]}), "reward_api_wrong", "nan"),
        (lambda _: (200, {"scores": ["a", 1.0]}), "reward_api_wrong", "'a'"),
    ],
)
def test_a_server_that_does_not_score_is_told(
    reply: Reply, code: str, reason: str, serve: Callable[[Reply], str], tiny_tokenizer: Any
) -> None:
    scorer = scoring.ServerScorer(serve(reply), tiny_tokenizer)
    with pytest.raises(TuneboardError) as caught:
        scorer([[5, 6], [7]])
    problem = caught.value.problems[0]
    assert (problem.code, problem.field) == (code, "reward_model")
    assert reason in problem.text()


def test_a_busy_server_is_asked_again(
    serve: Callable[[Reply], str], tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    asked: list[list[str]] = []

    def reply(texts: list[str]) -> tuple[int, Any]:
        asked.append(texts)
        return (503, {}) if len(asked) < 3 else (200, {"scores": [1.0, 2.0]})

    ids = [tiny_tokenizer("<|im_start|>one<|im_end|>")["input_ids"], [70]]
    assert scoring.ServerScorer(serve(reply), tiny_tokenizer)(ids).tolist() == [1.0, 2.0]
    assert waited == [1.0, 3.0]
    assert asked[2][0] == "<|im_start|>one<|im_end|>"


def test_a_server_that_is_not_there_ends_the_tries(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    scorer = scoring.ServerScorer("http://user:secret@127.0.0.1:9/score?key=1", tiny_tokenizer)
    with pytest.raises(TuneboardError) as caught:
        scorer([[5]])
    assert waited == [1.0, 3.0, 9.0]
    text = caught.value.problems[0].text()
    assert "http://127.0.0.1:9/score " in text
    assert "secret" not in text
