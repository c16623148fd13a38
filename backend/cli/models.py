"""`tuneboard models`: list what was downloaded, search a hub, download, remove."""

import datetime
import json
import os
import signal
import sys
import time
from argparse import Namespace
from dataclasses import asdict

from backend.cli.command_words import say_rows
from backend.contract.runs.run_view import duration
from backend.contract.texts.locales import t
from backend.contract.texts.terminal_text import decimal_size, one_line, say
from backend.hub.download import Progress, Report, download
from backend.hub.downloads import Download, downloads, remove
from backend.hub.results import HubModel
from backend.hub.search import search

SAY_SECONDS = 2.0  # between two lines of progress


def list_models(options: Namespace) -> int:
    """`tuneboard models [--json]`: the downloaded models with their sizes."""
    return say_rows(downloads(), _describe_download, t("cli.no_downloads"), as_json=options.json)


def search_models(options: Namespace) -> int:
    """`tuneboard models search WORDS [--limit N] [--hub_name HUB] [--json]`. Raises ModelError."""
    models = search(options.words_searched, options.limit, options.hub_name)
    nothing = t("cli.no_models_match", words=options.words_searched)
    return say_rows(models, _describe, nothing, as_json=options.json)


def get_model(options: Namespace) -> int:
    """`tuneboard models get NAME [--revision R] [--hub_name HUB]`: its folder is the last line on
    stdout. Raises ModelError, DiskFullError."""
    report = start_reporting(as_numbers=options.progress)
    folder = download(options.name, options.revision, report, options.hub_name)
    say(str(folder))
    return 0


def start_reporting(*, as_numbers: bool) -> Report:
    """What reports the progress of a download on standard error, in words or for the page; Ctrl-C
    ends it from now on."""
    signal.signal(signal.SIGINT, _stop)
    reported = [-SAY_SECONDS]

    def report(progress: Progress) -> None:
        if as_numbers:
            sys.stderr.write(json.dumps({**asdict(progress), "left": progress.left}) + "\n")
            sys.stderr.flush()
        elif time.monotonic() - reported[0] >= SAY_SECONDS or progress.done >= progress.total:
            reported[0] = time.monotonic()
            say(_describe_progress(progress), sys.stderr)

    return report


def remove_model(options: Namespace) -> int:
    """`tuneboard models remove NAME`. Raises ModelError."""
    model = remove(options.name)
    say(t("cli.download_removed", name=one_line(model.name), size=decimal_size(model.size)))
    return 0


def _stop(*_: object) -> None:
    """End at once: huggingface_hub would first finish the files that are on their way."""
    say(t("cli.download_stopped"), sys.stderr)
    os._exit(128 + signal.SIGINT)


def _describe(model: HubModel) -> str:
    """A line: size, name, license, and what stands in the way."""
    size = "" if model.parameters is None else decimal_size(model.parameters).removesuffix("B")
    marks = [
        model.license,
        t("cli.gated") if model.gated else "",
        t(f"cli.obstacle.{model.obstacle}") if model.obstacle else "",
    ]
    return f"{size:>8}  {one_line(model.name)}  {', '.join(filter(None, marks))}".rstrip()


def _describe_progress(progress: Progress) -> str:
    left = progress.left
    parts = [f"{decimal_size(progress.done)} / {decimal_size(progress.total)}"]
    if progress.speed:
        parts.append(f"{decimal_size(progress.speed)}/s")
    if left:
        parts.append(t("panel.left", time=duration(left)))
    return " · ".join(parts)


def _describe_download(model: Download) -> str:
    day = f"{datetime.datetime.fromtimestamp(model.used).astimezone():%Y-%m-%d}"
    return f"{decimal_size(model.size):>9}  {day}  {one_line(model.name)}"
