"""POST /v1/score: what a reward model gives for answers, in the form of vLLM's score API.

https://docs.vllm.ai/en/latest/models/pooling_models/scoring.html: text_1 is the question, text_2
the answer; one question may have several answers.
"""

import time
import uuid
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field

from backend.serving.embeddings import groups
from backend.serving.exchange import read_body, require_served, weights_of
from backend.serving.messages import StrictModel
from backend.serving.protocol import ApiError, Json
from backend.serving.sampled_request import as_list, read_object, validate
from backend.serving.service import Service

if TYPE_CHECKING:
    from backend.serving.engine import Engine
    from backend.serving.text_reader import Judged

MAX_TEXTS = 2048
Texts = Annotated[list[str], BeforeValidator(as_list), Field(min_length=1, max_length=MAX_TEXTS)]


class ScoreRequest(StrictModel):
    """The body of a request."""

    model: str | None = None
    text_1: Texts
    text_2: Texts

    def pairs(self) -> list[tuple[str, str]]:
        """The questions and answers. Raises ApiError (400) where they do not go together."""
        questions = self.text_1 * len(self.text_2) if len(self.text_1) == 1 else self.text_1
        if len(questions) != len(self.text_2):
            raise ApiError(400, "texts_differ", "text_2")
        return list(zip(questions, self.text_2, strict=True))


async def answer(request: Request, service: Service) -> Response:
    """Answer a request. Raises ApiError and TuneboardError."""
    body = validate(ScoreRequest, read_object(await read_body(request), {"user"}, {}))
    name = require_served(body.model or service.name, service)
    pairs, weights = body.pairs(), weights_of(name, service)
    with service.waiting([]):
        rows = await service.compute(partial(_encode, name=name, pairs=pairs, weights=weights))
        scores: dict[int, float] = {}
        for group in groups([len(row.ids) for row in rows]):
            if await request.is_disconnected():
                break
            read = partial(_score, rows=[rows[place] for place in group], weights=weights)
            scores |= zip(group, await service.compute(read), strict=True)
    data = [{"index": place, "object": "score", "score": scores[place]} for place in sorted(scores)]
    count = sum(len(row.ids) for row in rows)
    head = {"id": f"score-{uuid.uuid4().hex}", "object": "list", "created": int(time.time())}
    usage = {"prompt_tokens": count, "total_tokens": count}
    return JSONResponse({**head, "model": name, "data": data, "usage": usage})


def _encode(
    engine: "Engine", name: str, pairs: Sequence[tuple[str, str]], weights: Json
) -> "list[Judged]":
    engine.reader.require_head(name, **weights)
    rows = [engine.reader.encode_answer(*pair) for pair in pairs]
    for row in rows:
        engine.check_length(row.ids, "text_2", 0)
    return rows


def _score(engine: "Engine", rows: "Sequence[Judged]", weights: Json) -> list[float]:
    return engine.reader.score(rows, **weights)
