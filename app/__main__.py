"""`python -m app` (the same as `tuneboard webui`): read the options, serve until Ctrl-C."""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from app.services.data import upload_folder, uploads
from app.settings import (
    LOGIN,
    LOGIN_FILE,
    Settings,
    folders,
    from_environment,
    login,
    proxies,
    switch,
    upload_limit,
)
from backend.contract.folders.home import prepare, saves
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.system import boundary, warm_child
from backend.contract.texts.command_parser import CommandParser
from backend.contract.texts.locales import DEFAULT_LANGUAGE, t
from backend.contract.texts.problems import Problem, TuneboardError, UsageError
from backend.contract.texts.terminal_text import drop_marks, help_language, reader_language

POLL_SECONDS = 0.2


def main(argv: list[str] | None = None) -> int:
    """Serve the page and return the exit code: 2 for wrong options, with a line that says why."""
    try:
        settings = options(sys.argv[1:] if argv is None else argv)
        _quiet_gradio()
        gc.disable()  # until the page answers: it walked again and again through what stays
        from app.web import server

        server.check(settings)
        prepare()
        boundary.confine(settings.allowed_paths)
        uploads.sweep()
        box = upload_folder.open_folder()
        try:
            _serve(settings)
        finally:
            box.close()
    except TuneboardError as error:
        lang = reader_language(sys.stderr)
        for problem in error.problems:
            sys.stderr.write(drop_marks(problem.text(lang), lang) + "\n")
        return error.exit_code
    return 0


def webui_parser(environment: Mapping[str, str], lang: str = DEFAULT_LANGUAGE) -> CommandParser:
    """The parser of `tuneboard webui`. Its defaults come from the environment."""
    parser = CommandParser("webui", "--port 7861", lang=lang)
    parser.add("--host", default=environment.get("host", "127.0.0.1"), metavar="ADDRESS")
    parser.add("--port", default=environment.get("port", "7860"), metavar="PORT")
    parser.add("--root-path", default=environment.get("root_path", ""), metavar="PATH")
    parser.add("--allowed-host", action="append", default=[], metavar="NAME")
    parser.add("--allowed-path", action="append", default=[], metavar="FOLDER")
    parser.add("--trusted-proxy", action="append", default=[], metavar="ADDRESS")
    parser.add("--stop-runs", action="store_true")
    return parser


def options(argv: list[str]) -> Settings:
    """The settings from the options, else the environment, else the defaults."""
    environment = from_environment()
    parsed = webui_parser(environment, help_language()).parse(argv)
    hosts = [*parsed.allowed_host, *environment.get("allowed_hosts", "").split(",")]
    paths = [*parsed.allowed_path, *environment.get("allowed_paths", "").split(os.pathsep)]
    if not parsed.port.isdigit() or not 1 <= int(parsed.port) <= 65_535:
        raise UsageError(Problem(code="bad_port", params={"value": parsed.port[:20]}))
    root = parsed.root_path.strip("/")
    return Settings(
        host=parsed.host,
        port=int(parsed.port),
        root_path=f"/{root}" if root else "",
        login=login(),
        allowed_hosts=tuple(host.strip() for host in hosts if host.strip()),
        max_upload=upload_limit(),
        allowed_paths=folders(paths),
        trusted_proxies=proxies(
            [*parsed.trusted_proxy, *environment.get("trusted_proxies", "").split(",")]
        ),
        stop_runs=parsed.stop_runs or switch(environment.get("stop_runs", "")),
    )


def _quiet_gradio() -> None:
    """Turn off analytics, and remove variables that would configure Gradio."""
    for name in list(os.environ):
        if name.startswith("GRADIO_") and name != "GRADIO_TEMP_DIR":
            del os.environ[name]
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    for name in (LOGIN, LOGIN_FILE):
        os.environ.pop(name, None)


def _serve(settings: Settings) -> None:
    import uvicorn

    from app.web.server import config

    class Announcing(uvicorn.Server):
        """A server that prints the address of the page once it answers, and waits at its end for no
        child that makes an answer."""

        async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
            await super().startup(sockets)  # type: ignore[arg-type]
            gc.freeze()  # modules and the page stay as long as the process does
            gc.enable()
            if self.started:
                sys.stdout.write(t("webui.ready", url=settings.url + settings.root_path) + "\n")
                sys.stdout.flush()

        async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
            warm_child.close_all()
            await super().shutdown(sockets)  # type: ignore[arg-type]

    server = Announcing(config(settings))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises it again at the end
    signal.signal(signal.SIGHUP, server.handle_exit)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if settings.stop_runs:
        _stop_runs()
    for path in _going():
        _say(t("webui.still_running", run=str(path)))


def _stop_runs() -> None:
    """Ask each run that goes on to save and end, and wait for it. One more signal ends the wait."""
    asked: list[Path] = []
    with contextlib.suppress(KeyboardInterrupt):
        while going := _going():
            for path in going:
                if path not in asked:
                    asked.append(path)
                    launch.stop(path)
                    _say(t("webui.stopping", run=str(path)))
            time.sleep(POLL_SECONDS)
    for path in asked:
        view = run_folder.read(path)
        if view.ended:
            _say(t("webui.run_ended", run=str(path), state=t(f"state.{view.state.value}")))


def _going() -> list[Path]:
    return [view.path for view in run_folder.runs(saves()) if not view.ended]


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal is closed
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
