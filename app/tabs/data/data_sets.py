"""The registered sets: a table, the chosen one, a check of every row, its rows, its removal."""

from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import gradio as gr

from app.form import offers
from app.form.form import Form, change
from app.form.schema import Section
from app.i18n import Texts, say, t
from app.services.data import datasets, mapping, row_html, set_list
from app.tabs.data import data_view, dataset_preview
from app.tabs.shared import message
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.child_process import Stopped
from backend.contract.base.problems import TuneboardError
from backend.contract.registry import registry

READING = ("stage", "cutoff_len", "packing", "per_device_train_batch_size")
SECTIONS = (Section("reading", "", READING, slot="first"),)
WIDTHS = ("20%", "18%", "10%", "28%", "24%")
FOUND_WIDTHS = ("10%", "16%", "56%", "18%")
FORGET = """(name) => [
    {__type__: 'update', visible: false},
    {__type__: 'update', visible: false},
    name ? '' : {__type__: 'update'},
]"""

Parts = dict[str, Any]


def draw(context: Context) -> tuple[Form, Parts]:
    """Draw the lower part of the tab; the form of how rows are read, and other components."""
    texts, parts = context.texts, {}
    form = Form("train", "data", SECTIONS, bar=context.bar)
    texts.add(gr.Markdown(t("sets.title"), elem_classes="heading"), value="sets.title")
    parts["table"] = texts.make(
        gr.Dataframe,
        {"label": "sets.table"},
        headers=_headers("en"),
        type="array",
        datatype="str",
        interactive=False,
        show_label=False,
        max_height=300,
        wrap=True,
        buttons=[],
        column_widths=list(WIDTHS),
        elem_id="sets-table",
        elem_classes=["listed", "picked"],
    )
    parts["wrong"] = message.problem(texts, "sets-wrong")
    _draw_chosen(texts, parts)
    with texts.make(gr.Accordion, {"label": "sets.view"}, open=True, elem_id="sets-view"):
        how = texts.make(gr.Accordion, {"label": "sets.settings"}, open=False, elem_id="sets-how")
        with how:
            form.draw(context.schemas)
            parts["folder"] = texts.make(
                gr.Textbox,
                {"label": "field.dataset_dir.label", "info": "field.dataset_dir.help"},
                value=FIELDS["dataset_dir"].default,
                max_lines=1,
                elem_id="data-dataset_dir",
            )
        parts["view"] = data_view.draw(texts, "data")
    return form, parts


def wire(context: Context, form: Form, parts: Parts, train: Form, buttons: list[Any]) -> None:
    """Wire it; each of `buttons`, and the own one, takes the chosen set to the Train tab."""
    dataset, folder = parts["dataset"], parts["folder"]

    def read(given: Sequence[Any]) -> Values:
        name, place, *held = given
        raw = {**form.raw(held), "dataset": [name] if name else [], "dataset_dir": place}
        return form.parse(raw)[0]

    source = data_view.Source([dataset, folder, *form.inputs], read)
    data_view.wire(parts["view"], source, context.lang)
    dataset_preview.keep_fresh(context.news, folder, [dataset])
    context.keeper.add("data", {"dataset": dataset, "dataset_dir": folder})
    _wire_table(context, parts)
    _wire_chosen(context, form, parts)
    _wire_check(context, form, parts)
    _wire_removal(context, parts)
    _wire_train(context, train, [parts["train"], *buttons], parts)


def _draw_chosen(texts: Texts, parts: Parts) -> None:
    with gr.Row(elem_classes="fields"):
        parts["dataset"] = texts.make(
            gr.Dropdown,
            {"label": "sets.chosen", "info": "sets.chosen_help"},
            choices=[],
            value=None,
            allow_custom_value=True,
            elem_id="sets-chosen",
        )
        parts["facts"] = gr.Markdown(elem_id="sets-facts", elem_classes="seen")
    with gr.Row(elem_classes="seen-buttons"):
        parts["train"] = texts.make(
            gr.Button, {"value": "sets.train"}, size="sm", variant="primary", elem_id="sets-train"
        )
        for name in ("check", "stop", "remove"):
            parts[name] = texts.make(
                gr.Button,
                {"value": f"sets.{name}"},
                size="sm",
                visible=name != "stop",
                elem_id=f"sets-{name}",
            )
    with gr.Row(elem_classes="seen-buttons", visible=False) as parts["sure"]:
        parts["question"] = gr.Markdown(elem_id="sets-question", elem_classes="seen")
        for name, variant in (("remove_yes", "stop"), ("remove_no", "secondary")):
            parts[name] = texts.make(
                gr.Button,
                {"value": f"sets.{name}"},
                size="sm",
                variant=variant,
                elem_id=f"sets-{name}",
            )
    parts["said"] = gr.Markdown(elem_id="sets-said", elem_classes="seen")
    parts["bar"] = gr.Markdown(visible=False, elem_id="sets-bar", elem_classes="run-progress")
    parts["found"] = gr.Dataframe(
        headers=_found_headers("en"),
        type="array",
        datatype="str",
        interactive=False,
        visible=False,
        show_label=False,
        wrap=True,
        buttons=[],
        column_widths=list(FOUND_WIDTHS),
        elem_id="sets-found",
        elem_classes="listed",
        **say({"label": "sets.findings"}),
    )
    texts.add(parts["found"], label="sets.findings")


def _headers(lang: str) -> list[str]:
    return [t(f"sets.column.{name}", lang) for name in set_list.COLUMNS]


def _found_headers(lang: str) -> list[str]:
    return [t(f"sets.found.{name}", lang) for name in set_list.FINDING_COLUMNS]


def _wire_table(context: Context, parts: Parts) -> None:
    seen = gr.State(None)
    folder, dataset = parts["folder"], parts["dataset"]

    def refresh(place: str, lang: str, before: Any) -> list[Any]:
        rows, wrong = set_list.rows(place, lang), set_list.registry_problem(place, lang)
        if (lang, rows, wrong) == before:
            return [gr.skip()] * 3
        none = "" if rows else t("sets.none", lang)
        table = gr.update(value=rows, headers=_headers(lang), visible=bool(rows))
        words = gr.update(value=wrong or none, visible=not rows)
        return [table, words, (lang, rows, wrong)]

    def pick(place: str, event: gr.SelectData) -> Any:
        name = set_list.find_set(event.row_value[0], place) if event.row_value else None
        return name or gr.skip()

    gr.on(
        [context.news.sets.change, context.lang.change],
        refresh,
        [folder, context.lang, seen],
        [parts["table"], parts["wrong"], seen],
        **QUIET,
    )
    parts["table"].select(pick, folder, dataset, **QUIET)


def _wire_chosen(context: Context, form: Form, parts: Parts) -> None:
    """Another set: its facts, a stage that can learn from it, its first rows; what was said of
    the one before goes."""
    dataset, folder, box = parts["dataset"], parts["folder"], form.box

    def facts(name: str | None, place: str, lang: str) -> str:
        return set_list.facts(name, place, lang) if name else ""

    def another(name: str | None, place: str, lang: str, held: Any) -> list[Any]:
        kind = set_list.kind(name, place) if name else ""
        stage = str(form.held(held)["stage"])
        fitting = {"stage": mapping.stage_for(kind, stage)} if kind else {}
        return [facts(name, place, lang), change(fitting)]

    # In the browser: what a press since then has answered must not go with it.
    gone = [parts["found"], parts["sure"], parts["said"]]
    dataset.change(None, dataset, gone, js=FORGET, **QUIET)
    dataset.change(
        another, [dataset, folder, context.lang, box], [parts["facts"], box], **QUIET
    ).then(None, None, None, js=data_view.SHOW_ROWS)
    context.lang.change(facts, [dataset, folder, context.lang], parts["facts"], **QUIET)


def _wire_check(context: Context, form: Form, parts: Parts) -> None:
    going = gr.State(None)  # what stops the check
    outputs = [*(parts[name] for name in ("bar", "said", "found", "check", "stop")), going]

    def find_faults(name: str | None, place: str, lang: str, held: Any) -> Iterator[list[Any]]:
        stage = str(form.held(held)["stage"])
        hidden = gr.update(visible=False)
        if not name:
            yield [hidden, row_html.note(t("sets.choose", lang)), hidden, *[gr.skip()] * 3]
            return
        stop = Event()
        busy = [hidden, gr.update(interactive=False), gr.update(visible=True), stop]
        free = [gr.update(interactive=True), hidden, None]
        yield [_bar(name, 0.0, lang), "", *busy]
        try:
            for told in datasets.check_rows(name, place, stage, stop):
                if isinstance(told, float):
                    yield [_bar(name, told, lang), *[gr.skip()] * 5]
                else:
                    rows = set_list.findings(told, lang)
                    table = gr.update(value=rows, headers=_found_headers(lang), visible=bool(rows))
                    yield [hidden, set_list.report(told, lang), table, *free]
        except Stopped:
            yield [hidden, "", hidden, *free]
        except TuneboardError as error:
            yield [hidden, _noted(error, lang), hidden, *free]

    inputs = [parts["dataset"], parts["folder"], context.lang, form.box]
    parts["check"].click(find_faults, inputs, outputs, **QUIET)
    # The end of the child ends the bar, too: two events that write it would race each other.
    parts["stop"].click(lambda stop: stop and stop.set(), going, None, **QUIET)


def _wire_removal(context: Context, parts: Parts) -> None:
    dataset, folder = parts["dataset"], parts["folder"]

    def ask(name: str | None, place: str, lang: str) -> list[Any]:
        if not name:
            return [gr.update(visible=False), "", row_html.note(t("sets.choose", lang))]
        question = t("sets.remove_sure", lang, name=name, place=set_list.place(name, place))
        return [gr.update(visible=True), row_html.note(question), ""]

    def remove(name: str, place: str, lang: str) -> list[Any]:
        try:
            registry.remove(name, place)
        except TuneboardError as error:
            return [gr.update(visible=False), gr.skip(), _noted(error, lang)]
        choices = offers.datasets(place)
        said = row_html.note(t("sets.removed", lang, name=name))
        return [gr.update(visible=False), gr.update(choices=choices, value=None), said]

    given = [dataset, folder, context.lang]
    parts["remove"].click(ask, given, [parts["sure"], parts["question"], parts["said"]], **QUIET)
    parts["remove_yes"].click(remove, given, [parts["sure"], dataset, parts["said"]], **QUIET)
    parts["remove_no"].click(lambda: gr.update(visible=False), None, parts["sure"], **QUIET)


def _wire_train(context: Context, train: Form, buttons: list[Any], parts: Parts) -> None:
    def take(name: str | None, place: str, lang: str, held: Any) -> list[Any]:
        if not name:
            return [gr.skip(), gr.skip(), row_html.note(t("sets.choose", lang))]
        current = str(train.held(held)["stage"])
        stage = mapping.stage_for(set_list.kind(name, place), current)
        values = {"dataset": [name], "dataset_dir": place, "stage": stage}
        return [gr.Tabs(selected="train"), change(values), ""]

    for button in buttons:
        button.click(
            take,
            [parts["dataset"], parts["folder"], context.lang, train.box],
            [context.tabs, train.box, parts["said"]],
            **QUIET,
        )


def _bar(name: str, share: float, lang: str) -> dict[str, Any]:
    said = row_html.escape(t("sets.checking", lang, name=name, share=f"{share:.0%}"))
    bar = f'<progress max="100" value="{share * 100:.1f}"></progress> {said}'
    update: dict[str, Any] = gr.update(value=bar, visible=True)
    return update


def _noted(error: TuneboardError, lang: str) -> str:
    return "".join(row_html.note(problem.text(lang)) for problem in error.problems)
