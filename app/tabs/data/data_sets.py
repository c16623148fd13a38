"""The registered sets as a list, and a look at the rows of the chosen one."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.form.component import Question
from app.form.form import Form, change
from app.form.listing import Action, Cell, Listing, ListItem, View
from app.form.schema import Section
from app.i18n import in_all, t
from app.services.data import halves, mapping, set_list
from app.tabs.data.data_view import DataView, Source
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.registry import registry

READING = ("stage", "cutoff_len", "packing", "per_device_train_batch_size")
SECTIONS = (Section("reading", "", READING, slot="first"),)
COLUMNS = ("name", "kind", "rows", "size", "state")
NUMBERS = (2, 3)

Parts = dict[str, Any]


def draw_list() -> Any:
    """Draw the list of sets; its value is the name of the chosen one."""
    place = str(FIELDS["dataset_dir"].default)
    return LISTING.draw("sets.table", "sets-list", place=place, news=["sets"])


def draw_look(context: Context, dataset: Any) -> tuple[Form, Parts]:
    """Draw the rows of the chosen set; the form of how they are read, and other components."""
    texts = context.texts
    form = Form("train", "data", SECTIONS, bar=context.bar)
    view = DataView("data").draw(context.bar)
    parts: Parts = {"dataset": dataset, "view": view}
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
    parts["source"] = _source(form, parts)
    view.wire(parts["source"])
    return form, parts


def _source(form: Form, parts: Parts) -> Source:
    """The chosen set, and how it is read."""

    def read(box_values: Sequence[Any]) -> Values:
        name, place, *form_values = box_values
        raw = {**form.raw(form_values), "dataset": [name] if name else [], "dataset_dir": place}
        return form.parse(raw)[0]

    return Source([parts["dataset"], parts["folder"], *form.inputs], read)


def wire(context: Context, form: Form, parts: Parts, train: Form) -> None:
    """Wire it, with the steps of its path in `parts`; Train takes the chosen set over."""
    dataset, folder = parts["dataset"], parts["folder"]
    context.keeper.add("data", {"dataset": dataset, "dataset_dir": folder})
    context.news.folders.append(folder)
    folder.change(None, folder, None, js=LISTING.set_place(), **QUIET)
    _wire_chosen(form, parts, context.lang)
    _wire_train(context, train, parts)


def _list_sets(asked: Question, lang: str) -> View:
    """What the list of sets shows."""
    place = str(asked.get("place", ""))
    wrong = set_list.registry_problem(place, lang)
    rows = [_row(each, place, lang) for each in set_list.sets(place, lang)]
    columns = [t(f"sets.column.{name}", lang) for name in COLUMNS]
    return View(columns, rows, wrong or t("sets.none", lang), numbers=NUMBERS)


def _row(each: set_list.Set, place: str, lang: str) -> ListItem:
    question = t("sets.remove_sure", lang, name=each.title, place=each.place)
    return ListItem(
        each.name,
        [
            Cell(each.title, detail=each.place),
            Cell(t(f"sets.kind.{each.kind}", lang), detail=set_list.stages(each.kind, lang)),
            Cell(
                set_list.count_rows(each.name, place, lang),
                number=set_list.find_count(each.name, place),
            ),
            Cell(each.size, number=each.bytes),
            Cell(each.state, detail=each.note, tone=each.tone),
        ],
        [
            Action("train", t("sets.use", lang)),
            Action("remove", t("sets.remove", lang), question, t("sets.remove_yes", lang)),
        ],
    )


def _remove(action: str, name: str, asked: Question) -> dict[str, str]:
    """Take a set out of the registry; its files stay. Raises TuneboardError."""
    assert action == "remove"
    registry.remove(name, str(asked.get("place", "")))
    return in_all(lambda lang: t("sets.removed", lang, name=name))


LISTING = Listing("sets", _list_sets, _remove, events=["train"])


def _wire_chosen(form: Form, parts: Parts, lang: Any) -> None:
    """Another set: a stage that can learn from it, the path of its steps, its first rows."""
    dataset, folder, box = parts["dataset"], parts["folder"], form.box

    def fit(name: str | None, place: str, box_value: Any) -> list[Any]:
        kind = set_list.kind(name, place) if name else ""
        stage = str(form.read_box(box_value)["stage"])
        return [change({"stage": mapping.stage_for(kind, stage)} if kind else {}), name or ""]

    fitted = dataset.change(fit, [dataset, folder, box], [box, parts["steps"]], **QUIET)
    parts["view"].follow(fitted, parts["source"], lang)


def _wire_train(context: Context, train: Form, parts: Parts) -> None:
    """The chosen set is what is learned from, and the test half of its split what is measured on:
    one that was put there for another set goes, one that a person has chosen stays."""
    proposed = gr.State("")

    def take(name: str | None, place: str, before: str, box_value: Any) -> list[Any]:
        if not name:
            return [gr.skip()] * 3
        held, half = train.read_box(box_value), halves.find_test_half(name, place)
        stage = mapping.stage_for(set_list.kind(name, place), str(held["stage"]))
        values = {"dataset": [name], "dataset_dir": place, "stage": stage}
        if half or held["eval_dataset"] == [before]:
            values["eval_dataset"] = [half] if half else []
        return [gr.Tabs(selected="train"), half, change(values)]

    for press in (parts["dataset"].train, parts["steps"].train):
        press(
            take,
            [parts["dataset"], parts["folder"], proposed, train.box],
            [context.tabs, proposed, train.box],
            **QUIET,
        )


def wire_test_half(split: Any, dataset: Any, folder: Any, evaluated: Form) -> None:
    """The test half of a split is what Evaluate measures on next."""

    def propose(name: str | None, place: str) -> Any:
        half = halves.find_test_half(name, place) if name else ""
        return change({"eval_dataset": [half], "dataset_dir": place} if half else {})

    split.success(propose, [dataset, folder], evaluated.box, **QUIET)
