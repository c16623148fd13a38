"""What the page is answered: Gradio's own answers, mended where they would break a component."""

import asyncio
from typing import Any

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from app import events


@pytest.mark.parametrize(
    ("update", "props"),
    [
        (gr.skip(), None),
        (gr.update(value="x"), None),
        (gr.update(lang="zh"), {"form": "eval", "lang": "zh"}),
    ],
)
def test_no_update_takes_properties_from_a_component(update: Any, props: Any) -> None:
    """Start of a tab that was opened late had no words and no id: an empty update of its box, sent
    before, had replaced all its properties by the mark of an update."""
    with gr.Blocks() as page:
        box = gr.HTML("", form="eval", lang="en")
        event = gr.Button().click(lambda: update, None, box)
    events.prepare(page)
    (function,) = [each for each in page.fns.values() if each.fn is event.fn]
    state = SessionState(page)
    answer = asyncio.run(page.process_api(function, [], state=state))
    assert answer["data"][0].get("props") == props
