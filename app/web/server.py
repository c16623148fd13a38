"""The page's server: FastAPI, our guard outermost, Gradio mounted inside."""

import socket
from pathlib import Path
from typing import Any

import gradio as gr
import psutil
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from app import events
from app.form.component import data_of
from app.form.form import Schemas
from app.i18n import DEFAULT_LANGUAGE, languages
from app.services.data import upload_folder
from app.settings import Settings
from app.ui import HEAD, THEME, build
from app.web import export_feed, news_feed, run_feed
from app.web.body_limit import BodyLimit
from app.web.cached_responses import CachedResponses
from app.web.first_scripts import add_first
from app.web.guard import Guard
from app.web.requests import Requests
from backend.contract.folders.home import data, saves
from backend.contract.system.slow_clients import TimedProtocol
from backend.contract.texts.locales import t_in_all
from backend.contract.texts.problems import Problem, UsageError

# Ours -> Gradio's, which has no Vietnamese; others fall back on en.
LOCALES = {"zh": "zh-CN", "zh-Hant": "zh-TW"}


class Modules(StaticFiles):
    """The page's scripts. A browser checks each time whether they have changed, so that the scripts
    of two releases are never mixed."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """The file, or 304 where the browser has it already."""
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        if response.media_type == "application/javascript":  # the name that Gradio gives them
            response.headers["content-type"] = "text/javascript; charset=utf-8"
        return response


def build_app(settings: Settings) -> ASGIApp:
    """The whole application: guard, health line, scripts, what panels of runs ask, Gradio."""
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @api.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    api.include_router(news_feed.router)
    api.include_router(run_feed.router)
    api.include_router(export_feed.router)
    api.mount("/own/browser", Modules(directory=Path(__file__).parents[1] / "browser"))

    schemas: Schemas = {}
    blocks = build(schemas)

    @api.get("/own/form/{name}")
    def own_form(name: str, lang: str = DEFAULT_LANGUAGE) -> Response:
        if name not in schemas or lang not in languages():
            return Response(status_code=404)
        return JSONResponse(schemas[name](lang))

    @api.get("/own/components.json")
    def own_components(lang: str = DEFAULT_LANGUAGE) -> Response:
        if lang not in languages():
            return Response(status_code=404)
        return JSONResponse(data_of(blocks, lang))

    blocks.has_launched = True  # not set by mounting; without it any path passes as an upload
    events.prepare(blocks)
    gr.mount_gradio_app(
        api,
        blocks,
        path="/",
        root_path=settings.root_path or None,
        allowed_paths=[],
        blocked_paths=[str(saves()), str(data())],
        max_file_size=settings.max_upload,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        pwa=False,
        footer_links=[],
        theme=THEME,
        head=HEAD,
        i18n=missing_words(),
    )
    drop_descriptions(blocks)
    checked = Requests(api, blocks)
    limited = BodyLimit(checked, settings.max_upload, upload_folder.folder)
    return Guard(CachedResponses(limited, add_first), settings)


def drop_descriptions(blocks: gr.Blocks) -> None:
    """Take the components' descriptions for clients of an API, which the page does not offer, out
    of what each browser gets: 49 kB."""
    assert all(event.api_visibility == "private" for event in blocks.fns.values())
    for component in blocks.config["components"]:
        for name in ("api_info", "api_info_as_input", "api_info_as_output", "example_inputs"):
            component.pop(name, None)


def missing_words() -> gr.I18n:
    """Texts of Gradio 6's components that its own tables lack in every language.

    Without them it shows their keys: a screen reader said "common.complete" after each event.
    """
    words = {
        LOCALES.get(lang, lang): {"common.complete": text}
        for lang, text in t_in_all("gradio.complete").items()
    }
    return gr.I18n(**words)


def check(settings: Settings) -> None:
    """Check the settings before the page is built.

    Raises UsageError where the address is taken or not of this machine, or where other machines
    could use the page without a login.
    """
    if settings.exposed and not settings.login:
        raise UsageError(Problem(code="exposed_without_login", params={"host": settings.host}))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except PermissionError:
            raise UsageError(
                Problem(code="port_forbidden", params={"port": settings.port})
            ) from None
        except OSError:
            raise UsageError(_port_problem(settings)) from None


def _port_problem(settings: Settings) -> Problem:
    """The problem of a taken port, with the process that listens there, as far as it is visible."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        port = connection.laddr.port if connection.laddr else None
        if connection.status == psutil.CONN_LISTEN and port == settings.port and connection.pid:
            name = psutil.Process(connection.pid).name()
            return Problem(
                code="port_in_use_by",
                params={"port": settings.port, "pid": connection.pid, "name": name},
            )
    return Problem(code="port_in_use", params={"port": settings.port, "host": settings.host})


def config(settings: Settings) -> uvicorn.Config:
    """The settings of uvicorn: no Server header, no trust in forwarded headers, short timeouts."""
    return uvicorn.Config(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        http=TimedProtocol,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
        log_level="warning",
    )
