"""Answer the page's questions about hubs and about what was downloaded, as its child
`backend.data.hub_answers`.

Requests, a JSON line each:

    {"do": "search", "kind": "model", "hub": "huggingface", "words": "...", "secrets": {...}}
    {"do": "look", "hub": "huggingface", "name": "...", "secrets": {...}}
    {"do": "list", "kind": "model"}
    {"do": "remove", "kind": "model", "name": "..."}
"""

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from huggingface_hub import constants

from backend.contract.registry.dataset_info import Entry
from backend.contract.system.warm_child import Message, Progress, serve
from backend.data.hub_look import look
from backend.hub.downloads import downloads, remove
from backend.hub.search import list_trainable, search, search_sets

IDLE_S = 600.0
NICE = 5
LIMIT = 20  # results of a search


def answer(request: Message) -> Any:
    """The answer to a request. Raises TuneboardError."""
    with _secrets(request.get("secrets") or {}):
        return ACTIONS[request["do"]](request)


def _search(request: Message) -> list[dict[str, Any]]:
    find = search if request["kind"] == "model" else search_sets
    return [asdict(each) for each in find(request["words"], LIMIT, request["hub"])]


def _look(request: Message) -> dict[str, Any]:
    name, hub = request["name"], request["hub"]
    return look(Entry(name=name, hub_id=name, hub=hub)).to_json()


def _list(request: Message) -> dict[str, Any]:
    """What was downloaded, where that is, and the bytes that are free there."""
    rows = [{**asdict(each), "path": str(each.path)} for each in downloads(request["kind"])]
    place = constants.HF_HUB_CACHE
    os.makedirs(place, exist_ok=True)
    return {"rows": rows, "place": place, "free": shutil.disk_usage(place).free}


def _remove(request: Message) -> dict[str, Any]:
    return {"size": remove(request["name"], request["kind"]).size}


ACTIONS = {"search": _search, "look": _look, "list": _list, "remove": _remove}


@contextmanager
def _secrets(values: Mapping[str, str]) -> Iterator[None]:
    """Within the block the environment holds these, as the libraries read a token from there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def main() -> int:
    """Answer requests until the page ends, or none came for IDLE_S seconds.

    What says which models can be trained here takes seconds to load, and is loaded meanwhile.
    """
    os.nice(NICE)
    threading.Thread(target=list_trainable, daemon=True).start()

    def act(request: Message, _: Progress) -> Any:
        return answer(request)

    return serve(act, IDLE_S)


if __name__ == "__main__":
    sys.exit(main())
