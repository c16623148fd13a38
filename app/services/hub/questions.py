"""Questions about hubs and about what was downloaded, answered by a warm child."""

from collections.abc import Mapping
from typing import Any

from backend.contract.preflight import requirements
from backend.contract.system.warm_child import WarmChild

SILENCE_S = 60.0  # the first answer takes as long as the libraries take to be imported

child = WarmChild("backend.data.hub_answers")

Answer = Any


def search(kind: str, hub: str, words: str, secrets: Mapping[str, str]) -> Answer:
    """The models or data sets of a hub whose names match. Raises TuneboardError."""
    return _ask("search", kind=kind, hub=hub, words=words, secrets=dict(secrets))


def look(hub: str, name: str, secrets: Mapping[str, str]) -> Answer:
    """The first rows of a data set on a hub, its `size` and `files`, and the `kind` of data that
    it holds. Raises TuneboardError."""
    return _ask("look", hub=hub, name=name, secrets=dict(secrets))


def list_downloads(kind: str) -> Answer:
    """What was downloaded (`rows`), where that is (`place`), and the bytes that are free there.
    Raises TuneboardError."""
    return _ask("list", kind=kind)


def remove(kind: str, name: str) -> Answer:
    """Remove a download from the disk; the answer holds its `size`. Raises TuneboardError."""
    return _ask("remove", kind=kind, name=name)


def _ask(what: str, **more: Any) -> Answer:
    requirements.require_worker()
    return child.answer({"do": what, **more}, SILENCE_S, "hub_no_answer")
