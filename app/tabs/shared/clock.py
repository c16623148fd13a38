"""What is new on this machine, as events: the parts of the page listen, and ask nothing themselves.

The browser asks every two seconds, in one question for the whole page (app/browser/news.js,
app/web/news_feed.py), and not at all while nobody sees the page.
"""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.form.component import make_call, make_component
from app.tabs.shared.wiring import QUIET

RUNS = ("data", "recipes", "evaluate", "chat")  # tabs with a part that follows from the runs


@dataclass(frozen=True)
class News:
    """Unseen components, each with a stamp of app.services.page.news as its value: its `change` is
    the event.

    `sets` is told while Recipes is open, `runs` by the tab while that is, `chat` while Chat is,
    `starter` while the starter model is fetched: an event for each closed tab kept the first one
    waiting. `folders` are the boxes of dataset_dir whose registries are looked at.
    """

    sets: Any
    runs: dict[str, Any]
    chat: Any
    starter: Any
    folders: list[Any] = field(default_factory=list)


def draw() -> News:
    """Make the components. To be called outside all tabs: in one, it works once it was opened."""
    runs = {tab: _stamp("runs", tab) for tab in RUNS}
    return News(_stamp("sets", "recipes"), runs, _stamp("chat"), _stamp("starter"))


def _stamp(name: str, tab: str = "") -> Any:
    """The component of a part of the news, of one tab or of all."""
    return make_component("stamp", "", "", name=name, tab=tab, visible="hidden")


def wire(news: News, start: Any, tabs: Any) -> None:
    """Look at the registries of `news.folders` from the start, an event, and as a tab is opened."""
    fixed = [box.value for box in news.folders if isinstance(box, gr.State)]
    boxes = [box for box in news.folders if not isinstance(box, gr.State)]
    watch = make_call("news", "watchFolders", *fixed)
    gr.on([start, *(box.change for box in boxes)], None, boxes, None, js=watch, **QUIET)
    tabs.change(None, None, None, js=make_call("tabs", "turn"), **QUIET)
