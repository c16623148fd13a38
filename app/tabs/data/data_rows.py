"""Correct, delete and add rows of a small set: an accordion of the Data tab."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import gradio as gr

from app.form import offers
from app.i18n import Texts, t
from app.services.data import row_html
from app.services.runs import drafts
from app.services.runs.drafts import Draft
from app.tabs.data.data_view import SHOW_ROWS
from app.tabs.shared.wiring import QUIET
from backend.contract.base.problems import DataError, Problem, TuneboardError

BOXES = 8  # columns that are edited each in a box of its own
ACTS = ("previous", "next", "change", "delete", "add", "undo")

Parts = dict[str, Any]
Update = dict[str, Any]
Left = dict[tuple[str, str], tuple[Draft, int]]  # by set and registry: unsaved, and the row shown


def build(texts: Texts, lang: Any, dataset: Any, dataset_dir: Any) -> None:
    """Draw it and wire it to the boxes of the chosen set and of the registry's folder."""
    parts = _draw(texts)
    _wire(parts, [lang, dataset, dataset_dir])


def _draw(texts: Texts) -> Parts:
    parts: Parts = {"draft": gr.State(None), "at": gr.State(0), "left": gr.State({})}
    with texts.make(gr.Accordion, {"label": "edit.title"}, open=False, elem_id="edit"):
        texts.add(gr.Markdown(t("edit.intro"), elem_classes="seen"), value="edit.intro")
        with gr.Row(elem_classes="seen-buttons"):
            parts["open"] = _button(texts, "open", variant="primary")
        parts["note"] = gr.Markdown(elem_id="edit-note", elem_classes="seen")
        with gr.Column(visible=False, elem_id="edit-form") as parts["form"]:
            with gr.Row(elem_classes="fields"):
                parts["row"] = texts.make(
                    gr.Textbox, {"label": "edit.row"}, max_lines=1, elem_id="edit-row"
                )
            parts["boxes"] = [
                gr.Textbox(visible=False, lines=1, max_lines=8, elem_id=f"edit-box-{number}")
                for number in range(BOXES)
            ]
            with gr.Row(elem_classes="seen-buttons"):
                for name in ACTS:
                    parts[name] = _button(texts, name)
            with gr.Row(elem_classes="fields"):
                parts["into"] = texts.make(
                    gr.Textbox,
                    {"label": "edit.into", "info": "edit.into_help"},
                    value="",
                    max_lines=1,
                    elem_id="edit-into",
                )
            with gr.Row(elem_classes="seen-buttons"):
                parts["save"] = _button(texts, "save", variant="primary")
    return parts


def _button(texts: Texts, name: str, variant: str = "secondary") -> Any:
    return texts.make(
        gr.Button, {"value": f"edit.{name}"}, size="sm", variant=variant, elem_id=f"edit-{name}"
    )


def _wire(parts: Parts, chosen: list[Any]) -> None:
    lang, dataset, _ = chosen
    shown = [parts[name] for name in ("draft", "at", "note", "form", "row")] + parts["boxes"]
    inputs = [lang, parts["draft"], parts["at"], parts["row"], *parts["boxes"]]

    def begin(words: str, name: str | None, folder: str, left: Left) -> list[Any]:
        if not name:
            return [*_closed(), row_html.note(t("sets.choose", words)), *_nothing()]
        if (name, folder) in left:
            return _drawn(*left.pop((name, folder)), words)
        try:
            draft = drafts.open_draft(name, folder)
        except TuneboardError as error:
            return [*_closed(), _noted(error, words), *_nothing()]
        return _drawn(draft, 0, words)

    parts["open"].click(begin, [*chosen, parts["left"]], shown, **QUIET)

    def act(name: str, words: str, draft: Draft | None, at: int, *given: str) -> list[Any]:
        if draft is None:
            return [gr.skip()] * len(shown)
        try:
            draft, at = _done(name, draft, at, given)
        except TuneboardError as error:
            return [draft, at, _noted(error, words, at), *[gr.skip()] * (len(shown) - 3)]
        return _drawn(draft, at, words)

    for name in ACTS:
        parts[name].click(partial(act, name), inputs, shown, **QUIET)
    parts["row"].submit(partial(act, "jump"), inputs, shown, **QUIET)
    _wire_leaving(parts, inputs, shown, chosen)
    _wire_save(parts, inputs, dataset)


def _wire_leaving(parts: Parts, inputs: list[Any], shown: list[Any], chosen: list[Any]) -> None:
    """Another set is chosen: what was not saved is put by, and said."""
    _, dataset, folder = chosen

    def leave(
        left: Left,
        now: str | None,
        place: str,
        words: str,
        draft: Draft | None,
        at: int,
        _: str,
        *boxes: str,
    ) -> list[Any]:
        # The choice itself may be heard of late, when its set is edited already.
        if draft is None or (draft.entry.name, draft.dataset_dir) == (now, place):
            return [left, *[gr.skip()] * len(shown)]
        with suppress(TuneboardError):  # a row that could not be learned is left as it was
            drafts.change(draft, at, _named(draft, boxes))
        if not draft.touched:
            return [left, *_closed(), "", *_nothing()]
        left = {**left, (draft.entry.name, draft.dataset_dir): (draft, at)}
        note = row_html.note(t("edit.left", words, name=draft.entry.name))
        return [left, *_closed(), note, *_nothing()]

    asked = [parts["left"], dataset, folder, *inputs]
    dataset.change(leave, asked, [parts["left"], *shown], **QUIET)


def _wire_save(parts: Parts, inputs: list[Any], dataset: Any) -> None:
    def save(into: str, words: str, draft: Draft | None, at: int, _: str, *boxes: str) -> list[Any]:
        unsaved = [gr.skip()] * 3
        if draft is None:
            return [gr.skip(), *unsaved]
        try:
            drafts.change(draft, at, _named(draft, boxes))
            if not draft.touched:
                return [row_html.note(t("edit.untouched", words)), *unsaved]
            name = drafts.save(draft, into)
        except TuneboardError as error:
            return [_noted(error, words, at), *unsaved]
        note = row_html.note(t("edit.saved", words, name=name))
        choices = offers.datasets(draft.dataset_dir)
        return [note, None, gr.update(visible=False), gr.update(choices=choices, value=name)]

    saved = parts["save"].click(
        save,
        [parts["into"], *inputs],
        [parts["note"], parts["draft"], parts["form"], dataset],
        **QUIET,
    )
    saved.then(None, None, None, js=SHOW_ROWS)
    edits = [box.input for box in parts["boxes"]] + [parts[n].click for n in ("delete", "add")]
    gr.on(edits, None, None, None, js="() => { window.unsaved = true; }", **QUIET)
    parts["undo"].click(None, None, None, js="() => { window.unsaved = false; }", **QUIET)


def _done(name: str, draft: Draft, at: int, given: Sequence[str]) -> tuple[Draft, int]:
    """The draft and the row to show after a button; `given`: the box of the row, then its values.

    What was typed into a row is kept when another is gone to. Raises TuneboardError where it cannot
    be: then nothing has changed.
    """
    row, values = given[0].replace(",", "").strip(), _named(draft, given[1:])
    match name:
        case "delete":
            drafts.delete(draft, at)
        case "add":
            return draft, drafts.add(draft, values)
        case "undo":
            fresh = drafts.open_draft(draft.entry.name, draft.dataset_dir)
            return fresh, min(at, len(fresh.rows) - 1)
        case _:
            drafts.change(draft, at, values)
    wanted = {"previous": at - 1, "next": at + 1, "jump": int(row) - 1 if row.isdecimal() else at}
    return draft, min(max(0, wanted.get(name, at)), len(draft.rows) - 1)


def _columns(draft: Draft) -> list[str]:
    if len(draft.columns) > BOXES:
        params = {"columns": len(draft.columns), "most": BOXES}
        raise DataError(Problem(code="edit_columns", params=params))
    return draft.columns


def _named(draft: Draft, given: Sequence[str]) -> dict[str, str]:
    return dict(zip(_columns(draft), (one or "" for one in given), strict=False))


def _drawn(draft: Draft, at: int, lang: str) -> list[Any]:
    """The form with row `at`, and how far the draft differs from the set."""
    try:
        columns = _columns(draft)
    except TuneboardError as error:
        return [*_closed(), _noted(error, lang), *_nothing()]
    values = drafts.texts(draft.rows[at], columns)
    boxes = [
        gr.update(visible=True, label=c, value=v) for c, v in zip(columns, values, strict=True)
    ]
    boxes += [gr.update(visible=False)] * (BOXES - len(boxes))
    counts = {"changed": len(draft.changed), "deleted": len(draft.deleted), "added": draft.added}
    said = t("edit.state", lang, row=at + 1, rows=len(draft.rows), **counts)
    if at in draft.deleted:
        said += " " + t("edit.is_deleted", lang)
    return [draft, at, row_html.note(said), gr.update(visible=True), str(at + 1), *boxes]


def _closed() -> list[Any]:
    return [None, 0]


def _nothing() -> list[Any]:
    return [gr.update(visible=False), "", *[gr.update(visible=False)] * BOXES]


def _noted(error: TuneboardError, lang: str, at: int | None = None) -> str:
    """What is wrong, with the row that is shown, as its line in the file may be another number."""
    row = "" if at is None else t("seen.row", lang, row=f"{at + 1:,}") + ": "
    return "".join(row_html.note(row + problem.text(lang)) for problem in error.problems)
