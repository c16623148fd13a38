"""Stands in for the package swanlab: what it is told goes to the file SWANLAB_RECORD names."""

import json
import os
from pathlib import Path
from typing import Any

from swanlab import exceptions as exceptions


def record(what: str, **given: Any) -> None:
    with Path(os.environ["SWANLAB_RECORD"]).open("a") as file:
        file.write(
            json.dumps({"what": what, **given}, default=lambda one: type(one).__name__) + "\n"
        )


def init(**given: Any) -> None:
    key = os.environ.get("SWANLAB_API_KEY")
    if given["mode"] == "online" and key != "right":
        raise exceptions.AuthenticationError("no such key")
    record("init", **given)


def merge_callbacks(callbacks: list[Any]) -> None:
    record("callbacks", webhook=callbacks[0].webhook, secret=callbacks[0].secret)
