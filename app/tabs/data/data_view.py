"""Looking at a data set: rows as they are, as conversations, as tokens; and how long they are.

Two components, placed by `draw` and tied by `wire` to a form, on the Train tab and the Data tab.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import gradio as gr

from app.form.component import make_call, make_component
from app.form.form import Form
from app.form.offers import datasets
from app.i18n import TextKeys, Texts, in_all, pick_language, t
from app.services.data import inspection, length_chart, row_tree, rows_view
from app.services.data.rows_view import PAGE, VIEWS, Query
from app.tabs.shared.clock import News
from app.tabs.shared.model_bar import draw_chosen
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.field import Values
from backend.contract.system.warm_child import Message
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import TuneboardError

SPOKEN = ' role="status"'
TEMPLATE = '<div class="list"></div>'
ROWS_WORDS = {
    **{f"view.{name}": f"seen.view.{name}" for name in VIEWS},
    **{name: f"seen.{name}" for name in ("view", "jump", "search", "search_hint")},
    **{name: f"preview.{name}" for name in ("show", "previous", "next")},
}
LENGTHS_WORDS = {name: f"seen.{name}" for name in ("lengths", "exact", "chart")}

Update = Any
Describe = Callable[[str], list[row_tree.Element]]


@dataclass(frozen=True)
class Source:
    """Where arguments come from: components, and how their values are read."""

    inputs: list[Any]
    read: Callable[[Sequence[Any]], Values]


class DataView:
    """The rows of the first chosen set, and a measurement of their lengths.

    prefix  what the ids of its elements begin with
    form    the form whose data set is shown as soon as it is another one; "" where `follow` says so
    """

    def __init__(self, prefix: str, form: str = "") -> None:
        self.prefix = prefix
        self.form = form
        self.rows: Any = None
        self.lengths: Any = None

    def draw(self, bar: Form | None = None) -> "DataView":
        """Draw it here, with the model of `bar`, which tokens and lengths are measured with, in one
        line where the bar is not seen."""
        self.rows = make_component(
            "rows_view",
            TEMPLATE,
            {},
            events=["look"],
            elem_id=f"{self.prefix}-look",
            prefix=f"{self.prefix}-",
            form=self.form,
            views=[*VIEWS],
            page=PAGE,
            words=TextKeys(ROWS_WORDS),
        )
        if bar is not None:
            draw_chosen(bar)
        self.lengths = make_component(
            "lengths",
            TEMPLATE,
            {},
            events=["measure"],
            elem_id=f"{self.prefix}-lengths",
            prefix=f"{self.prefix}-",
            words=TextKeys(LENGTHS_WORDS),
        )
        return self

    def wire(self, source: Source) -> None:
        """Wire it to where the arguments come from that decide on tokens: dataset, dataset_dir,
        model, template, stage, cutoff_len, packing, batch size."""

        def look(asked: Any, *box_values: Any) -> Update:
            return _look(source.read(box_values), asked)

        def measure(asked: Any, *box_values: Any) -> Iterator[Update]:
            yield from _measure(source.read(box_values), asked)

        inputs = [self.rows, *source.inputs]
        self.rows.look(look, inputs, self.rows, trigger_mode="always_last", **QUIET)
        measured = self.lengths.measure(
            measure, [self.lengths, *source.inputs], self.lengths, **QUIET
        )
        measured.failure(None, None, self.lengths, js=make_call("lengths", "free"), **QUIET)

    def follow(self, event: Any, source: Source, lang: Any) -> None:
        """Show the first rows after this event, in the view that is open."""

        def show(lang: str, shown: Any, *box_values: Any) -> Update:
            view = _query(shown).view
            return _look(source.read(box_values), {"view": view, "lang": lang})

        event.then(show, [lang, self.rows, *source.inputs], self.rows, **QUIET)


def make_tree(elem_id: str, *, spoken: bool = False) -> Any:
    """A component that shows trees of elements (app/services/data/row_tree.py); what is `spoken` is
    read out by a screen reader once it is there."""
    template = f'<div class="seen"{SPOKEN if spoken else ""}></div>'
    return make_component("tree", template, {}, elem_id=elem_id)


def tree(describe: Describe | None = None) -> Update:
    """The update of such a component, with what `describe` makes of each language; nothing is seen
    of it without."""
    return gr.update(value={"inside": in_all(describe) if describe else {}})


def _query(asked: Any) -> Query:
    """What the browser asks for; the first rows as they are where it has not asked yet."""
    question = asked if isinstance(asked, dict) else {}
    view, first = question.get("view"), question.get("first")
    return Query(
        view if view in VIEWS else VIEWS[0],
        max(0, first) if isinstance(first, int) else 0,
        str(question.get("words") or "").strip(),
    )


def _look(values: Values, asked: Any) -> Update:
    """What the component shows, with a number that tells this answer from all others."""
    query = _query(asked)
    shown = asdict(rows_view.look(values, query, _language(asked)))
    return gr.update(value={**asdict(query), "shown": {**shown, "version": time.monotonic()}})


def _measure(values: Values, asked: Any) -> Iterator[Update]:
    """How far the measurement is, and its result: in every language, as it stays there."""
    is_exact = bool(isinstance(asked, dict) and asked.get("exact"))
    try:
        for message in inspection.stats(rows_view.measurable(values), is_exact):
            words = in_all(partial(_describe, message))
            yield gr.update(value={"busy": "progress" in message, "words": words})
    except TuneboardError as error:
        yield gr.update(value={"words": in_all(partial(_refuse, error))})


def _describe(message: Message, lang: str) -> dict[str, Any]:
    """How far the measurement is, or its result: a chart, and what it says."""
    if "progress" in message:
        done, whole = message["progress"]
        of = format_number(whole) if whole else "?"
        words = t("seen.measuring", lang, done=format_number(done), of=of)
        return {"said": [row_tree.note(words)]}
    lengths = message["answer"]
    notes = [row_tree.note(notice) for notice in rows_view.notices(lengths, lang)]
    points = row_tree.points(length_chart.words(lengths, lang))
    return {"figure": length_chart.figure(lengths, lang), "said": [*notes, points]}


def _refuse(error: TuneboardError, lang: str) -> dict[str, Any]:
    return {"said": [row_tree.wrong(problem.text(lang)) for problem in error.problems]}


def _language(asked: Any) -> str:
    return pick_language(asked.get("lang") if isinstance(asked, dict) else None)


def draw_preview(texts: Texts, form: Form) -> DataView:
    """Draw the look at the data of a form, in it."""
    with texts.make(gr.Accordion, {"label": "preview.title"}, open=False, elem_id="preview"):
        return DataView("preview", form.key).draw()


def wire_preview(view: DataView, form: Form) -> None:
    """Wire the look to the form that it stands in."""
    view.wire(Source(form.inputs, lambda box_values: form.values(box_values)[0]))


def keep_fresh(news: News, dataset_dir: Any, boxes: list[Any]) -> None:
    """The registered data sets as choices, read again where the registry is another one."""
    news.folders.append(dataset_dir)

    def refresh(folder: str) -> Any:
        update = gr.update(choices=datasets(folder))
        return [update] * len(boxes) if len(boxes) > 1 else update

    news.sets.change(refresh, dataset_dir, boxes, **QUIET)
