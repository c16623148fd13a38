"""Looking at a data set: rows as they are, as conversations, as tokens; and how long they are.

`draw` places it, `wire` ties it to a form: the Train tab and the Data tab both do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import Texts, t
from app.services.data import inspection, length_chart, row_html, rows_view
from app.services.data.rows_view import PAGE, Query
from backend.contract.arguments.field import Values
from backend.contract.base.problems import TuneboardError

SHOW_ROWS = "() => { document.querySelector('#data-show')?.click(); }"  # of the Data tab
VIEW_TEXTS = [(f"seen.view.{name}", name) for name in rows_view.VIEWS]


Parts = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where arguments come from: components, and how their values are read."""

    inputs: list[Any]
    read: Callable[[Sequence[Any]], Values]


def draw(texts: Texts, prefix: str) -> Parts:
    """Draw the fragment; its components by name, for `wire`."""
    parts: Parts = {}
    with gr.Row(elem_classes="seen-bar"):
        parts["view"] = texts.make(
            gr.Radio,
            {"label": "seen.view", "choices": VIEW_TEXTS},
            value="raw",
            elem_id=f"{prefix}-view",
            elem_classes="seen-view",
        )
        parts["jump"] = _box(texts, "seen.jump", f"{prefix}-jump", min_width=110)
        parts["search"] = _box(
            texts, "seen.search", f"{prefix}-search", placeholder="seen.search_hint"
        )
    with gr.Row(elem_classes="seen-buttons"):
        for name in ("show", "previous", "next"):
            parts[name] = texts.make(
                gr.Button, {"value": f"preview.{name}"}, size="sm", elem_id=f"{prefix}-{name}"
            )
    parts["where"] = texts.make(
        gr.Textbox,
        {"label": "label.rows"},
        show_label=False,
        interactive=False,
        container=False,
        visible=False,
        max_lines=4,
        elem_id=f"{prefix}-where",
        elem_classes="seen-where",
    )
    parts["rows"] = gr.Markdown(elem_id=f"{prefix}-rows", elem_classes="seen")
    _draw_lengths(texts, prefix, parts)
    return parts


def wire(parts: Parts, source: Source, lang: Any) -> None:
    """Wire it to where the arguments come from that decide on tokens: dataset, dataset_dir, model,
    template, stage, cutoff_len, packing, batch size."""
    _wire_rows(source, lang, parts)
    _wire_lengths(source, lang, parts)


def _box(texts: Texts, label: str, elem_id: str, placeholder: str = "", **given: Any) -> Any:
    keys = {"label": label, **({"placeholder": placeholder} if placeholder else {})}
    return texts.make(gr.Textbox, keys, max_lines=1, elem_id=elem_id, **given)


def _draw_lengths(texts: Texts, prefix: str, parts: Parts) -> None:
    with gr.Row(elem_classes="seen-buttons"):
        parts["measure"] = texts.make(
            gr.Button, {"value": "seen.lengths"}, size="sm", elem_id=f"{prefix}-measure"
        )
        parts["exact"] = texts.make(
            gr.Checkbox, {"label": "seen.exact"}, container=False, elem_id=f"{prefix}-exact"
        )
    parts["chart"] = texts.make(
        gr.Plot,
        {"label": "seen.chart"},
        show_label=False,
        container=False,
        visible=False,
        elem_id=f"{prefix}-chart",
        elem_classes="run-chart seen-chart",
    )
    parts["words"] = gr.Markdown(elem_id=f"{prefix}-words", elem_classes="seen")


def _wire_rows(source: Source, lang: Any, parts: Parts) -> None:
    """The place is remembered for the page: [first, onward]."""
    place = gr.State((0, 0))

    def draw(
        step: str, lang: str, view: str, jump: str, words: str, at: tuple[int, int], *given: Any
    ) -> list[Any]:
        first = _first(step, jump, words.strip(), at)
        found = rows_view.look(source.read(given), Query(view, first, words.strip()), lang)
        return [gr.update(value=found.where, visible=True), found.html, (first, found.onward)]

    inputs = [lang, parts["view"], parts["jump"], parts["search"], place, *source.inputs]
    outputs = [parts["where"], parts["rows"], place]
    wire = {
        "show": parts["show"].click,
        "previous": parts["previous"].click,
        "next": parts["next"].click,
        "jump": parts["jump"].submit,
        "search": parts["search"].submit,
        "view": parts["view"].input,
    }
    for step, listen in wire.items():
        listen(partial(draw, step), inputs, outputs, api_visibility="private")


def _first(step: str, jump: str, words: str, at: tuple[int, int]) -> int:
    """The number of the row that is shown first."""
    number = int(jump.replace(",", "")) - 1 if jump.replace(",", "").strip().isdecimal() else 0
    if step == "next":
        return at[1]
    if step == "previous":
        return 0 if words else max(0, at[0] - PAGE)
    if step == "view":
        return at[0]
    if step == "jump":
        return max(0, number)
    return 0


def _wire_lengths(source: Source, lang: Any, parts: Parts) -> None:
    def measure(lang: str, exact: bool, *given: Any) -> Iterator[list[Any]]:
        try:
            for message in inspection.stats(rows_view.measurable(source.read(given)), exact):
                yield _measured(message, lang)
        except TuneboardError as error:
            said = "".join(row_html.note(problem.text(lang)) for problem in error.problems)
            yield [gr.update(visible=False), said]

    parts["measure"].click(
        measure,
        [lang, parts["exact"], *source.inputs],
        [parts["chart"], parts["words"]],
        api_visibility="private",
    )


def _measured(message: inspection.Message, lang: str) -> list[Any]:
    """Updates of chart and words: how far it is, or the result."""
    if "progress" in message:
        done, whole = message["progress"]
        of = f"{whole:,}" if whole else "?"
        return [gr.skip(), row_html.note(t("seen.measuring", lang, done=f"{done:,}", of=of))]
    found = message["answer"]
    plot = PlotData(type="plotly", plot=length_chart.figure(found, lang))
    notes = "".join(map(row_html.note, rows_view.notices(found, lang)))
    lines = "".join(f"<li>{row_html.escape(line)}</li>" for line in length_chart.words(found, lang))
    return [gr.update(visible=True, value=plot), f"{notes}<ul>{lines}</ul>"]
