"""The HTTP application: its addresses, and errors in OpenAI's shape."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from backend.contract.texts.locales import t
from backend.contract.texts.problems import TuneboardError
from backend.model.generation import Sampling
from backend.serving import chat, completions, embeddings, responses, scores
from backend.serving.exchange import error_answer, require_served
from backend.serving.guard import Guard
from backend.serving.metrics import CONTENT_TYPE, Meter
from backend.serving.protocol import ApiError, error_body
from backend.serving.service import Service

ADDRESSES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/score",
    "/score",
    "/v1/models",
    "/health",
    "/metrics",
)
HTTP_ERRORS = {404: "unknown_url", 405: "method_not_allowed"}


def build(service: Service, standard: Sampling, *, host: str, key: str | None) -> FastAPI:
    """Build the application; it starts to load the model when the server starts.

    `standard` is the sampling of requests without values; `host` is the address of the server.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host, key=key)
    app.add_middleware(Meter, metrics=service.metrics, addresses=ADDRESSES)
    _add_routes(app, service, standard)
    _add_error_shapes(app)
    return app


def _add_routes(app: FastAPI, service: Service, standard: Sampling) -> None:
    _add_state_routes(app, service)
    _add_answer_routes(app, service, standard)


def _add_state_routes(app: FastAPI, service: Service) -> None:
    started = int(time.time())

    @app.get("/health")
    async def health() -> dict[str, Any]:
        problem = service.problem
        return {
            "status": service.state,
            "model": service.name,
            "problem": problem.to_json() if problem else None,
            "detail": problem.text() if problem else "",
            "notices": [notice.to_json() for notice in service.notices],
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "tuneboard"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model(name) for name in service.models()]}

    @app.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        return model(require_served(name, service))


def _add_answer_routes(app: FastAPI, service: Service, standard: Sampling) -> None:
    @app.post("/v1/responses")
    async def response(request: Request) -> Response:
        service.engine()
        return await responses.answer(request, service, standard)

    @app.post("/v1/completions")
    async def completion(request: Request) -> Response:
        service.engine()
        return await completions.answer(request, service, standard)

    @app.post("/v1/embeddings")
    async def embedding(request: Request) -> Response:
        service.engine()
        return await embeddings.answer(request, service)

    @app.post("/v1/score")
    @app.post("/score")
    async def score(request: Request) -> Response:
        service.engine()
        return await scores.answer(request, service)

    @app.post("/v1/chat/completions")
    async def chat_completion(request: Request) -> Response:
        service.engine()
        return await chat.answer(request, service, standard)


def _add_error_shapes(app: FastAPI) -> None:
    """Answer every error in OpenAI's format, without a traceback for the client."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status, headers=error.headers)

    @app.exception_handler(TuneboardError)
    async def problem_error(_: Request, error: TuneboardError) -> Response:
        return JSONResponse(*error_answer(error))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = HTTP_ERRORS.get(error.status_code, "http_error")
        params = {"method": request.method, "path": request.url.path[:200]}
        reason = t(f"api.{code}", **params, reason=error.detail)
        body = error_body(reason, error.status_code, code)
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def internal_error(_: Request, error: Exception) -> Response:
        message = f"{type(error).__name__}: {error}"[:500]
        return JSONResponse(error_body(message, 500, "internal_error"), 500)
