"""GET /metrics, and when a client that is sent away may come again."""

from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backend.serving.service import Service
from tests.backend.test_serve_process import HELLO, URL, listening
from tests.backend.test_serve_tools import Speaker
from tests.failures.conftest import until


def read(address: str, **headers: str) -> dict[tuple[str, str], float]:
    """The samples by their names and labels."""
    answer = httpx.get(f"{address}/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_requests_answers_and_tokens_are_counted() -> None:
    service = Service("speaker", Speaker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        for body in ({"messages": HELLO}, {"messages": HELLO, "stream": True}, {"messages": 5}):
            httpx.post(address + URL, json=body)
        httpx.get(f"{address}/v1/nowhere/{'x' * 30}")
        samples = read(address)
    assert samples["tuneboard_requests_total", f"{URL},200"] == 2
    assert samples["tuneboard_requests_total", f"{URL},400"] == 1
    assert samples["tuneboard_requests_total", "other,404"] == 1
    assert samples["tuneboard_answers_total", "stop"] == 2
    assert samples["tuneboard_prompt_tokens_total", ""] == 10
    assert samples["tuneboard_completion_tokens_total", ""] == 14
    assert samples["tuneboard_first_text_seconds_count", ""] == 2
    assert samples["tuneboard_open_requests", ""] == 0


def test_the_numbers_need_the_key() -> None:
    service = Service("speaker", Speaker)
    with listening(service, key="secret") as address:
        assert httpx.get(f"{address}/metrics").status_code == 401
        samples = read(address, authorization="Bearer secret")
    assert samples["tuneboard_requests_total", "/metrics,401"] == 1


@pytest.mark.parametrize("state", ["full", "loading"])
def test_a_client_learns_when_to_come_again(state: str) -> None:
    """OpenAI's client reads Retry-After and does so by itself."""
    service: Any = Service("speaker", Speaker)
    with listening(service) as address:
        until(lambda: service.state == "ready")
        if state == "full":
            service._open = [[] for _ in range(service.limits.waiting)]
        else:
            service._engine = None
        answer = httpx.post(address + URL, json={"messages": HELLO})
        assert answer.status_code == (429 if state == "full" else 503)
        assert int(answer.headers["retry-after"]) > 0
        service._open = []
