"""The server's answers about runs, in front of Gradio: what a panel follows, logs, plotly.js."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.datastructures import QueryParams

from app.i18n import DEFAULT_LANGUAGE, languages
from app.services.page import run_feed
from app.services.page.run_feed import Question
from app.services.runs import runs, tail

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
LONG = 400  # characters of what a browser sends back or searches for


router = APIRouter()


@router.get("/own/run")
def tell_run(request: Request) -> Response:
    """What is new of a run that the page lists, as `question_of` asks."""
    question = question_of(request.query_params)
    if question is None:
        return Response(status_code=404)
    # A name from a foreign file system may hold half a character.
    text = json.dumps(run_feed.answer(question), ensure_ascii=False, separators=(",", ":"))
    headers = {"cache-control": "no-store"}
    return Response(text.encode("utf-8", "replace"), media_type=JSON, headers=headers)


@router.get("/own/log")
def download_log(run: str) -> Response:
    """The whole log of a run in saves/, made safe to show."""
    file = runs.log_file(run)
    if file is None:
        return Response(status_code=404)
    headers = {"content-disposition": 'attachment; filename="log.txt"'}
    return StreamingResponse(tail.read_whole(file), media_type=TEXT, headers=headers)


@router.get("/own/plotly.js")
def give_plotly() -> FileResponse:
    """plotly.js, which draws the curves."""
    headers = {"cache-control": "no-cache"}
    return FileResponse(find_plotly(), media_type="text/javascript", headers=headers)


def question_of(params: QueryParams) -> Question | None:
    """What a panel asks: run, lang, and the rest as `Question` explains. None where it names no
    run that the page lists, or no language."""
    folder, lang = runs.find_folder(params.get("run", "")), params.get("lang", DEFAULT_LANGUAGE)
    if folder is None or lang not in languages():
        return None
    words = {name: params.get(name, "")[:LONG] for name in ("stamp", "metrics", "log", "search")}
    return Question(folder, lang, series=tuple(dict.fromkeys(params.getlist("series"))), **words)


@cache
def find_plotly() -> Path:
    """plotly.js as the package plotly ships it; the package itself is not loaded."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
