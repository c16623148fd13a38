"""OpenAI's own client, of the extra "dev", at a server of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backend.serving.service import Service
from tests.backend.test_serve_process import listening
from tests.failures.conftest import until


@contextmanager
def connected(service: Service) -> Iterator[Any]:
    """A client of the service, once that is ready."""
    import openai

    with listening(service) as address:
        until(lambda: service.state == "ready", 60)
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            yield client
