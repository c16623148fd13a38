"""Kinds of Gradio's components that only closed tabs show: fetched when such a tab is opened.

Gradio (6.31) fetches the scripts of all visible components with the page, those of closed tabs,
too: an editor, tables and chats were half a megabyte that nobody had asked to see.
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from app.form.component import make_call
from app.tabs.shared.wiring import QUIET


def defer(page: gr.Blocks, first: str) -> None:
    """Hide those components, and show them when their tab is opened for the first time.

    first  the id of the tab that is open at first
    """
    fetched = {block.get_block_name() for block, tab in _visible(page) if _is_open(tab, first)}
    deferred: dict[gr.Tab, list[Any]] = {}
    for block, tab in _visible(page):
        if block.get_block_name() not in fetched:
            deferred.setdefault(tab, []).append(block)
    for tab, blocks in deferred.items():
        for block in blocks:
            block.visible = False
        reveal = make_call("tabs", "reveal", tab.id, len(blocks))
        tab.select(None, None, blocks, js=reveal, **QUIET)


def _visible(page: gr.Blocks) -> Iterator[tuple[Any, Any]]:
    """The page's components that are not hidden, each with its tab or None."""
    for block in page.blocks.values():
        if getattr(block, "visible", False) is True:
            yield block, _tab_of(block)


def _tab_of(block: Any) -> Any:
    """The tab in which a component stands, None outside all of them."""
    while block is not None and not isinstance(block, gr.Tab):
        block = block.parent
    return block


def _is_open(tab: Any, first: str) -> bool:
    return tab is None or tab.id == first
