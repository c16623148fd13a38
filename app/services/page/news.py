"""Stamps of what can change while a page is open: data sets, runs, the model of the chat.

A stamp is a short text that changes with its subject. All open pages share one look at the disk.
"""

import secrets
import zlib
from pathlib import Path

from app.services.chat import chat_client
from app.services.data import set_list
from app.services.models import starter as starter_model
from app.services.runs import runs
from app.services.runs.timed_cache import TimedCache
from backend.contract.folders.home import home

SETS_S = 2.0
START = secrets.token_hex(8)  # numbers that count changes begin anew with each server


def sets(folders: tuple[str, ...], *, files: bool) -> str:
    """A stamp of the registries in these folders; with `files` also of their sets' files."""
    return _sets.get((home(), folders, files))


def runs_and_states() -> str:
    """A stamp of the runs and their states."""
    return _stamp((START, runs.snapshot().states))


def steps() -> str:
    """A stamp of the runs and all that lists show of them."""
    return _stamp((START, runs.snapshot().changes))


def chat() -> str:
    """A stamp of the state of the chat's model."""
    return _stamp(chat_client.status())


def starter() -> str:
    """How far the starter model is that is fetched; "" where this process has fetched none."""
    progress = starter_model.progress()
    return "" if progress is None else _stamp(progress)


def _stamp(value: object) -> str:
    return f"{zlib.crc32(repr(value).encode('utf-8', 'surrogateescape')):08x}"


def _look_at_sets(key: tuple[Path, tuple[str, ...], bool]) -> str:
    _, folders, files = key
    return _stamp([set_list.list_registry(folder, files=files) for folder in folders])


_sets = TimedCache(_look_at_sets, SETS_S)
