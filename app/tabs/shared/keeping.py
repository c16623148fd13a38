"""What is typed into the page, kept in the visitor's browser: a reload brings it back.

Nothing of it goes to the server until the page is opened again. Secrets are not kept: neither the
boxes of secret arguments nor further arguments that name one.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.form.component import make_call
from app.form.extra_arguments import BOX
from app.form.schema import SECRETS
from app.tabs.shared.wiring import QUIET

FREE = [BOX, *SECRETS]  # the box in which one may be typed, and what it must not name

Boxes = dict[str, Any]
Put = Callable[[Boxes], Boxes]


@dataclass(frozen=True)
class _Group:
    """Boxes whose values are kept under one name."""

    boxes: dict[str, Any]
    put: Put

    def fill(self, text: object) -> list[Any]:
        """Updates of the boxes from what a browser has kept; what does not fit is passed over."""
        values = {key: value for key, value in _read(text).items() if key in self.boxes}
        values = self.put({k: value for k, value in values.items() if _fits(self.boxes[k], value)})
        return [
            gr.update(value=values[key]) if values.get(key, box.value) != box.value else gr.skip()
            for key, box in self.boxes.items()
        ]


class Keeper:
    """What the tabs want to have kept, and what is to follow once the page has been filled."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._next: list[dict[str, Any]] = []

    def add(self, name: str, boxes: Mapping[str, Any], put: Put = dict) -> None:
        """Keep what these boxes hold, under a name.

        `put` gets what was kept ({} for nothing) and returns what is to be filled in. Names that
        begin with "talk" are kept until the browser's tab is closed, others for good.
        """
        allowed = {key: box for key, box in boxes.items() if key not in SECRETS}
        self._groups[name] = _Group(allowed, put)

    def then(self, **event: Any) -> None:
        """An event (fn, inputs, outputs) that follows once the boxes are filled."""
        self._next.append(event)

    def wire(self, load: Callable[..., Any]) -> None:
        """Fill the boxes when the page is opened, which `load` hears, where something was kept, and
        keep them at each change from then on."""
        storage = gr.Textbox(visible=False, container=False)

        def fill(text: str) -> list[Any]:
            stored = _read(text)
            filled = [group.fill(stored.get(name)) for name, group in self._groups.items()]
            return [update for updates in filled for update in updates]

        every = [box for group in self._groups.values() for box in group.boxes.values()]
        read = make_call("keeping", "read", [*self._groups])
        load(None, None, storage, js=read, **QUIET)
        event = storage.change(fill, storage, every, **QUIET)
        event.then(None, None, None, js=make_call("keeping", "begin"), **QUIET)
        for following in self._next:
            event.then(**following, **QUIET)
        for name, group in self._groups.items():
            parts = [*group.boxes.values()]
            write = make_call("keeping", "write", name, [*group.boxes], FREE)
            gr.on([box.change for box in parts], None, parts, None, js=write, **QUIET)


def _read(text: object) -> Boxes:
    """What a browser has kept; {} where that is nothing of ours."""
    try:
        values = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _fits(box: Any, value: Any) -> bool:
    """Whether a box can hold a value, which may be that of another version of the page."""
    if isinstance(box, gr.Checkbox):
        return isinstance(value, bool)
    if isinstance(box, gr.Slider | gr.Number):
        return isinstance(value, int | float)
    if isinstance(box, gr.Dropdown) and box.multiselect:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    if isinstance(box, gr.Radio) or (isinstance(box, gr.Dropdown) and not box.allow_custom_value):
        return value in [choice for _, choice in box.choices]
    return isinstance(value, str)
