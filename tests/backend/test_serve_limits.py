"""The limits of `tuneboard api`, set by its arguments: what goes beyond is refused in words."""

from pathlib import Path
from typing import Any

import pytest

from backend.serving.engine import Engine
from backend.serving.limits import Limits
from backend.serving.service import Service
from tests.backend.openai_clients import connected
from tests.backend.test_openai_client import error_of
from tests.backend.test_serve_process import api_values

openai = pytest.importorskip("openai")  # of the extra "dev"
HELLO: Any = [{"role": "user", "content": "Who are you?"}]


def service_of(folder: Path, **limits: object) -> Service:
    """The service as the command builds it."""
    values = api_values(model_name_or_path=str(folder), **limits)
    return Service("tiny", lambda: Engine.load(values), limits=Limits.of(values))


def test_length(tiny_model_dir: Path) -> None:
    """The answer ends where prompt and answer have that many tokens; a longer prompt is refused."""
    with connected(service_of(tiny_model_dir, api_max_length=40)) as client:
        answer = client.completions.create(
            model="tiny", prompt=[5] * 30, max_tokens=500, logit_bias={"2": -100}
        )
        assert answer.usage.total_tokens <= 40
        with pytest.raises(openai.BadRequestError) as caught:
            client.completions.create(model="tiny", prompt=[5] * 40)
        error = error_of(caught.value)
        assert (error["param"], error["code"]) == ("prompt", "prompt_too_long")
        assert "40" in error["message"]
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="tiny", input=[[5] * 41])


def test_choices(tiny_model_dir: Path) -> None:
    with connected(service_of(tiny_model_dir, api_max_choices=2)) as client:
        asked: Any = {"model": "tiny", "max_tokens": 2}
        assert len(client.chat.completions.create(messages=HELLO, n=2, **asked).choices) == 2
        for create in (
            lambda: client.chat.completions.create(messages=HELLO, n=3, **asked),
            lambda: client.completions.create(prompt="Paris", n=3, **asked),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                create()
            error = error_of(caught.value)
            assert (error["param"], error["code"]) == ("n", "too_many_choices")
            assert "2" in error["message"]


def test_requests(tiny_model_dir: Path) -> None:
    service = service_of(tiny_model_dir, api_max_waiting=1)
    with connected(service) as client:
        with service.waiting([]), pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=2)
        assert caught.value.response.headers["Retry-After"] == "1"
        assert error_of(caught.value)["code"] == "too_many_waiting"
        assert client.chat.completions.create(model="tiny", messages=HELLO, max_tokens=2).choices
