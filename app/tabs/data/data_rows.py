"""Correct, delete and add rows of a small set: an accordion of the step "Look"."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from app.form.component import make_component
from app.i18n import TextKeys, Texts, in_all, t
from app.services.data import drafts
from app.services.data.drafts import Draft
from app.tabs.data.data_work import Words, say
from app.tabs.shared.wiring import QUIET
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import DataError, Problem, TuneboardError

BOXES = 8  # columns that are edited each in a box of its own
WORDS = (
    *("open", "row", "previous", "next", "change", "delete", "add", "undo"),
    *("into", "into_help", "save"),
)

Edited = tuple[Draft, int]  # and the number of the row that is shown
Left = dict[tuple[str, str], Edited]  # by set and registry: what was not saved
Update = Any


def build(texts: Texts, dataset: Any, dataset_dir: Any) -> None:
    """Draw it and wire it to the boxes of the chosen set and of the registry's folder."""
    states = [gr.State(None), gr.State({})]  # what is edited, what was left
    with texts.make(gr.Accordion, {"label": "edit.title"}, open=False, elem_id="edit"):
        texts.add(gr.Markdown(t("edit.intro"), elem_classes="quiet"), value="edit.intro")
        words = {name: f"edit.{name}" for name in WORDS}
        box = make_component(
            "editor",
            '<div class="list"></div>',
            {},
            events=["act"],
            elem_id="edit-rows",
            prefix="edit-",
            words=TextKeys(words),
        )
    chosen = [dataset, dataset_dir]
    box.act(_act, [box, *states, *chosen], [*states, box, dataset], **QUIET)
    dataset.change(_leave, [box, *states, *chosen], [*states, box], **QUIET)


def _act(
    asked: Any, edited: Edited | None, left: Left, name: str | None, folder: str
) -> list[Update]:
    """New values of what is edited, what was left, the component, the chosen set."""
    typed = asked if isinstance(asked, dict) else {}
    act, values = str(typed.get("act", "")), _values(typed)
    if act == "open":
        return [*_open(left, name, folder), gr.skip()]
    if edited is None:
        return [gr.skip()] * 4
    try:
        if act == "save":
            return _save(edited, left, values, str(typed.get("into", "")))
        edited = _edit(act, edited, str(typed.get("row", "")), values)
    except TuneboardError as error:
        return [edited, left, _note(_words(error, edited[1]), edited, values), gr.skip()]
    return [edited, left, _show(edited), gr.skip()]


def _values(typed: dict[str, Any]) -> list[str]:
    values = typed.get("values")
    return [str(value) for value in values] if isinstance(values, list) else []


def _open(left: Left, name: str | None, folder: str) -> list[Update]:
    if not name:
        return [None, left, _close(say("sets.choose"))]
    rest = {key: value for key, value in left.items() if key != (name, folder)}
    try:
        edited = left.get((name, folder)) or (drafts.open_draft(name, folder), 0)
        return [edited, rest, _show(edited)]
    except TuneboardError as error:
        return [None, left, _close(_words(error))]


def _save(edited: Edited, left: Left, values: Sequence[str], into: str) -> list[Update]:
    draft, at = edited
    drafts.change(draft, at, _by_column(draft, values))
    if not draft.touched:
        return [edited, left, _note(say("edit.untouched"), edited, values), gr.skip()]
    name = drafts.save(draft, into)
    return [None, left, _close(say("edit.saved", name=name)), gr.update(value=name)]


def _leave(
    asked: Any, edited: Edited | None, left: Left, name: str | None, folder: str
) -> list[Update]:
    """Another set is chosen: what was not saved is put by, and said."""
    place = (edited[0].entry.name, edited[0].dataset_dir) if edited else None
    # The choice itself may be heard of late, when its set is edited already.
    if edited is None or place is None or place == (name, folder):
        return [gr.skip()] * 3
    draft, at = edited
    typed = asked if isinstance(asked, dict) else {}
    if typed.get("at") == str(at + 1):
        with suppress(TuneboardError):  # a row that could not be learned is left as it was
            drafts.change(draft, at, _by_column(draft, _values(typed)))
    if not draft.touched:
        return [None, left, _close({})]
    words = say("edit.left", name=draft.entry.name)
    return [None, {**left, place: edited}, _close(words)]


def _edit(act: str, edited: Edited, row: str, values: Sequence[str]) -> Edited:
    """The draft and the row to show after a button.

    What was typed into a row is kept when another is gone to. Raises TuneboardError where it cannot
    be: then nothing has changed.
    """
    draft, at = edited
    row, cells = row.replace(",", "").strip(), _by_column(draft, values)
    match act:
        case "delete":
            drafts.delete(draft, at)
        case "add":
            return draft, drafts.add(draft, cells)
        case "undo":
            fresh = drafts.open_draft(draft.entry.name, draft.dataset_dir)
            return fresh, min(at, len(fresh.rows) - 1)
        case _:
            drafts.change(draft, at, cells)
    wanted = {"previous": at - 1, "next": at + 1, "jump": int(row) - 1 if row.isdecimal() else at}
    return draft, min(max(0, wanted.get(act, at)), len(draft.rows) - 1)


def _columns(draft: Draft) -> list[str]:
    if len(draft.columns) > BOXES:
        params = {"columns": len(draft.columns), "most": BOXES}
        raise DataError(Problem(code="edit_columns", params=params))
    return draft.columns


def _by_column(draft: Draft, texts: Sequence[str]) -> dict[str, str]:
    return dict(zip(_columns(draft), texts, strict=False))


def _show(edited: Edited) -> Update:
    """The row, and how far the draft differs from the set."""
    draft, at = edited
    counts = {"changed": len(draft.changed), "deleted": len(draft.deleted), "added": draft.added}
    words = say("edit.state", row=at + 1, rows=len(draft.rows), **counts)
    if at in draft.deleted:
        words = in_all(lambda lang: f"{words[lang]} {t('edit.is_deleted', lang)}")
    return _note(words, edited, drafts.texts(draft.rows[at], _columns(draft)))


def _note(words: Words, edited: Edited, values: Sequence[str]) -> Update:
    draft, at = edited
    shown = {"note": words, "row": str(at + 1), "columns": _columns(draft), "values": [*values]}
    return _update(shown)


def _close(words: Words) -> Update:
    return _update({"note": words, "row": "", "columns": [], "values": []})


def _update(shown: dict[str, Any]) -> Update:
    """What the component shows, its note by language, and a number that tells this answer from all
    others."""
    return gr.update(value={"shown": {**shown, "version": time.monotonic()}})


def _words(error: TuneboardError, at: int | None = None) -> Words:
    """What is wrong, with the row that is shown, as its line in the file may be another number."""
    problems = error.problems

    def describe(lang: str) -> str:
        row = "" if at is None else t("seen.row", lang, row=format_number(at + 1)) + ": "
        return "\n".join(row + problem.text(lang) for problem in problems)

    return in_all(describe)
