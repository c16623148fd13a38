"""Build the page: header, model bar, tabs."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app.events import LANGUAGE_BOX
from app.form.component import make_call, make_component
from app.form.form import Form, Schemas
from app.i18n import DEFAULT_LANGUAGE, Texts, languages, t
from app.services.runs import runs
from app.tabs import evaluate, export, recipes, train
from app.tabs.chat import chat
from app.tabs.data import data
from app.tabs.run import resume_panel
from app.tabs.run import runs as run_list
from app.tabs.shared import clock, model_bar
from app.tabs.shared.context import Context
from app.tabs.shared.keeping import Keeper
from app.tabs.shared.wiring import QUIET
from app.theme import HEAD, THEME
from backend.contract.runs.model_folders import result_folder
from backend.contract.runs.run_folder import RunView

__all__ = ["HEAD", "THEME", "build"]

FIRST = "train"  # the tab that is open at first
TABS = (FIRST, "data", "recipes", "evaluate", "chat", "export", "runs")
LANGUAGE_NAMES = {
    "ar": "العربية",
    "de": "Deutsch",
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "ja": "日本語",
    "ko": "한국어",
    "pt-BR": "Português (Brasil)",
    "ru": "Русский",
    "vi": "Tiếng Việt",
    "zh": "中文",
    "zh-Hant": "繁體中文",
}


def build(schemas: Schemas) -> gr.Blocks:
    """Build the whole page in English; each visitor's language is applied when it loads.

    `schemas` gets the schema of each form, by its name, and as `page` the texts of all parts that
    are Gradio's.
    """
    texts = Texts()
    with gr.Blocks(
        title="Tuneboard", fill_width=True, analytics_enabled=False, delete_cache=(3600, 86_400)
    ) as page:
        # First of all: it makes Gradio's application anew, of all components that are there.
        page.queue(max_size=256, default_concurrency_limit=16, api_open=False)
        chosen, lang = _header(texts)
        news = clock.draw()
        bar = model_bar.build(schemas)
        with gr.Tabs(selected=FIRST, elem_id="tabs") as tabs:
            context = Context(texts, page, lang, bar, schemas, tabs, news, Keeper())
            with _tab(texts, "train"):
                trained, form = train.build(context)
            with _tab(texts, "data"):
                wire_test_half = data.build(context, form)
            with _tab(texts, "recipes") as chains:
                chained = recipes.build(context, chains.select)
            with _tab(texts, "evaluate"):
                evaluated = evaluate.build(context)
            with _tab(texts, "chat"):
                talk = chat.build(context)
            with _tab(texts, "export"):
                exported = export.build(context)
            with _tab(texts, "runs"):
                listed = run_list.build(context)
        panels = [trained, chained, listed.panel]
        wire_test_half(evaluated)
        _wire_results(context, panels, evaluated, exported)
        _wire_chat(context, [*panels, exported["panel"]], talk)
        resume_panel.wire_again(context, form, [*panels, listed.table])
        _wire_language(page, texts, chosen, lang)
        clock.wire(news, page.load, tabs)
        _wire_address(page, tabs)
        context.keeper.wire(page.load)
        defer(page, FIRST)
    schemas["page"] = lambda lang: {"updates": texts.updates(lang)}
    return page


def _tab(texts: Texts, name: str) -> Any:
    tab = gr.Tab(t(f"tab.{name}"), id=name, elem_id=f"tab-{name}")
    return texts.add(tab, label=f"tab.{name}")


def _header(texts: Texts) -> tuple[Any, Any]:
    """Build the header: the choice of a language, and the box with the current language."""
    with gr.Row(elem_id="header"):
        gr.Markdown("# Tuneboard", elem_id="title")
        make_component("strip", "<p></p>", elem_id="hardware")
        chosen = gr.Dropdown(
            choices=[(LANGUAGE_NAMES[name], name) for name in languages()],
            value=DEFAULT_LANGUAGE,
            filterable=False,
            show_label=False,
            container=False,
            min_width=100,
            elem_id="language",
            label="Language / 语言",
        )
        theme = texts.make(
            gr.Button, {"value": "header.theme"}, elem_id="theme", size="sm", min_width=80
        )
        theme.click(None, None, None, js=make_call("theme", "toggle"), api_visibility="private")
    lang = gr.Textbox(DEFAULT_LANGUAGE, visible=False, container=False, elem_id=LANGUAGE_BOX)
    return chosen, lang


def _wire_results(
    context: Context, panels: list[Any], evaluated: Form, exported: dict[str, Any]
) -> None:
    """Wire the buttons of a finished run to the tabs that use its result, which are filled in."""

    def open_tab(tab: str, fill: Callable[[RunView], Any]) -> Callable[[str], Any]:
        def open_run(name: str) -> list[Any]:
            folder = runs.find_folder(name)
            if folder is None:
                return [gr.skip()] * 3
            view = runs.view(folder)
            return [gr.Tabs(selected=tab), chat.open_run(result_folder(view)), fill(view)]

        return open_run

    outputs, quiet = [context.tabs, context.bar.box], {"api_visibility": "private"}
    evaluating = open_tab("evaluate", evaluate.fill)
    exporting = open_tab("export", export.fill)
    for panel in panels:
        panel.evaluate(evaluating, panel, [*outputs, evaluated.box], **quiet)
        panel.export(exporting, panel, [*outputs, exported["form"].box], **quiet)


def _wire_chat(context: Context, panels: list[Any], talk: dict[str, Any]) -> None:
    """Wire Chat of a finished run: the tab opens with its result chosen, and its columns titled."""

    def open_run(name: str, lang: str) -> list[Any]:
        folder = runs.find_folder(name)
        if folder is None:
            return [gr.skip()] * 4
        path = result_folder(runs.view(folder))
        return [gr.Tabs(selected="chat"), *chat.begin(path, lang)]

    outputs = [context.tabs, context.bar.box, talk["tuned"], talk["base"]]
    for panel in panels:
        panel.chat(open_run, [panel, context.lang], outputs, api_visibility="private")


def _wire_address(page: gr.Blocks, tabs: Any) -> None:
    """Open the tab that the address of the page names."""
    read = make_call("address", "openNamed", TABS)
    page.load(None, None, tabs, js=read, show_progress="hidden", api_visibility="private")


def _wire_language(page: gr.Blocks, texts: Texts, chosen: Any, lang: Any) -> None:
    """Wire the choice of a language: all texts change first, other parts follow from `lang`."""
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(None, None, chosen, js=make_call("language", "claim"), **quiet)
    chosen.change(None, chosen, None, js=make_call("language", "speak"), **quiet)
    parts = [lang, *texts.components]
    chosen.change(None, chosen, parts, js=make_call("schemas", "readTexts"), **quiet)
    chosen.focus(None, None, None, js=make_call("schemas", "readLikely"), **quiet)
    chosen.input(None, chosen, None, js=make_call("language", "choose"), **quiet)


def defer(page: gr.Blocks, first: str) -> None:
    """Hide the kinds of components that only closed tabs show, until such a tab is opened.

    Gradio (6.31) fetches the scripts of all visible components with the page, those of closed tabs,
    too: an editor, tables and chats were half a megabyte that nobody had asked to see.

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
