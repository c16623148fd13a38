"""The page's one clock: what is new on this machine, asked for every two seconds in one request.

The other parts ask for nothing by themselves: they listen to the news that concern them, and ask
once those have changed. Only the panel of a run that goes on has a clock of its own.
"""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from app.services.page import news
from app.services.runs import hardware

PERIOD_S = 2
# The name of the open tab, from the id of its button: "tab-train-button".
OPEN_TAB = "document.querySelector('[role=tab][aria-selected=true]')?.id.split('-')[1] ?? ''"


@dataclass(frozen=True)
class News:
    """Hidden boxes, each with a stamp of app.services.page.news as its value.

    `steps` is looked at while a tab that lists runs is open, `chat` while Chat is. `folders` are
    the boxes of dataset_dir whose registries are looked at.
    """

    sets: Any
    runs: Any
    steps: Any
    chat: Any
    folders: list[Any] = field(default_factory=list)


def draw() -> News:
    """Make the boxes. To be called outside all tabs: in one, a box listens once it was opened."""
    return News(*(gr.Textbox(visible=False) for _ in range(4)))


def wire(heard: News, lang: Any, strip: Any, tabs: Any) -> None:
    """Look at once, every two seconds, and as a tab is opened; `strip` shows the hardware."""
    timer, tab = gr.Timer(PERIOD_S), gr.Textbox(visible=False)

    def tell_news(name: str, tab: str, *folders: str) -> list[Any]:
        return [
            hardware.strip(hardware.snapshot(), name),
            news.sets(folders, files=tab == "data"),
            news.runs_and_states(),
            news.steps() if tab in {"runs", "recipes"} else gr.skip(),
            news.chat() if tab == "chat" else gr.skip(),
        ]

    gr.on(
        [timer.tick, gr.context.Context.root_block.load, lang.change, tabs.change],
        tell_news,
        [lang, tab, *heard.folders],
        [strip, heard.sets, heard.runs, heard.steps, heard.chat],
        js=f"(lang, tab, ...folders) => [lang, {OPEN_TAB}, ...folders]",
        show_progress="hidden",
        api_visibility="private",
    )
