"""POST /v1/embeddings: one vector for each text, from the hidden states of the model.

Fields: https://platform.openai.com/docs/api-reference/embeddings/create
"""

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BeforeValidator, Field

from backend.serving.completions import Prompt, as_prompts
from backend.serving.exchange import read_body, require_served, weights_of
from backend.serving.messages import StrictModel
from backend.serving.protocol import ApiError, Json
from backend.serving.sampled_request import read_object, validate
from backend.serving.service import Service

if TYPE_CHECKING:
    from torch import Tensor

    from backend.serving.engine import Engine

MAX_TEXTS = 2048  # as OpenAI allows
MAX_TOGETHER = 4096  # tokens of texts that are read in one pass, padding included


class EmbeddingRequest(StrictModel):
    """The body of a request."""

    model: str | None = None
    input: Annotated[list[Prompt], BeforeValidator(as_prompts)] = Field(
        min_length=1, max_length=MAX_TEXTS
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)


async def answer(request: Request, service: Service) -> Response:
    """Answer a request. Raises ApiError and TuneboardError."""
    body = validate(EmbeddingRequest, read_object(await read_body(request), {"user"}, {}))
    name = require_served(body.model or service.name, service)
    weights = weights_of(name, service)
    with service.waiting([]):
        rows = await service.compute(lambda engine: _encode(engine, body.input))
        vectors: dict[int, Tensor] = {}
        for group in groups([len(row) for row in rows]):
            if await request.is_disconnected():
                break
            read = partial(_embed, rows=[rows[place] for place in group], weights=weights)
            vectors |= zip(group, await service.compute(read), strict=True)
    data = [
        {"object": "embedding", "index": place, "embedding": _shape(vectors[place], body)}
        for place in sorted(vectors)
    ]
    count = sum(map(len, rows))
    usage = {"prompt_tokens": count, "total_tokens": count}
    return JSONResponse({"object": "list", "data": data, "model": name, "usage": usage})


def _encode(engine: "Engine", texts: Sequence[Prompt]) -> list[list[int]]:
    return [engine.encode_text(text, "input") for text in texts]


def _embed(engine: "Engine", rows: Sequence[list[int]], weights: Json) -> "list[Tensor]":
    return engine.reader.embed(rows, **weights)


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of texts that are read in one pass, those of a similar length together."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if group and (len(group) + 1) * lengths[group[0]] > MAX_TOGETHER:
            yield group
            group = []
        group.append(place)
    yield group


def _shape(vector: "Tensor", body: EmbeddingRequest) -> Any:
    """A vector as the request wants it: shortened and scaled to the length 1 again, and in base64
    as float32, little-endian. Raises ApiError (400) for more dimensions than it has."""
    size = len(vector)
    if body.dimensions is not None and body.dimensions > size:
        raise ApiError(400, "dimensions_too_many", "dimensions", size=size)
    if body.dimensions is not None:
        vector = vector[: body.dimensions]
        vector = vector / vector.norm().clamp_min(1e-12)
    if body.encoding_format == "float":
        return vector.tolist()
    return base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode()
