"""Answer own/news, which every open page requests every two seconds: stamps and a hardware line."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from app.i18n import DEFAULT_LANGUAGE, pick_language
from app.services.page import news
from app.services.runs import hardware

MOST_FOLDERS = 8
LISTING = {"runs", "recipes"}  # tabs that show the progress of each run
UNSTORED = {"cache-control": "no-store"}

router = APIRouter()
Folders = Annotated[list[str] | None, Query(alias="folder", max_length=MOST_FOLDERS)]


@router.get("/own/news")
def tell_news(tab: str = "", lang: str = DEFAULT_LANGUAGE, folders: Folders = None) -> JSONResponse:
    """The stamps for the open tab, by their names in app.tabs.shared.clock, and `strip`, the line
    about the hardware."""
    parts = {
        "strip": hardware.strip(hardware.snapshot(), pick_language(lang)),
        "sets": news.sets(tuple(dict.fromkeys(folders or [])), files=tab == "data"),
        "runs": news.runs_and_states(),
    }
    if tab in LISTING:
        parts["steps"] = news.steps()
    if tab == "chat":
        parts["chat"] = news.chat()
    if starter := news.starter():
        parts["starter"] = starter
    return JSONResponse(parts, headers=UNSTORED)
