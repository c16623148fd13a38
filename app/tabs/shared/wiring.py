"""How the tabs wire events: no sign of progress, and a bar that stays gone after Stop."""

import time
from typing import Any

import gradio as gr

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
LATE_S = 1.5


def hide_late(event: Any, bar: Any) -> None:
    """Hide a bar once more after `event`: what the work said last may come after its end."""
    event.then(_wait, None, bar, **QUIET)


def _wait() -> dict[str, Any]:
    time.sleep(LATE_S)
    update: dict[str, Any] = gr.update(visible=False)
    return update
