"""The Recipes tab: choose a chain, its data sets, see its commands, start and follow it."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from app.form.values import display
from app.i18n import Texts, t
from app.problems import problem_lines
from app.services.data.extra import BOX
from app.services.runs import recipes
from app.tabs.data import dataset_preview
from app.tabs.run import run_panel
from app.tabs.shared import answer, message, model_bar
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.problems import TuneboardError
from backend.contract.launching import recipes as contract

MAX_DATA = 6  # stages of one recipe with data sets that the page shows
FIRST = "chat_domain_sft"


def build(context: Context) -> Any:
    """Draw the tab and wire it; returns the run panel."""
    texts = context.texts
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            model_bar.draw_chosen(context.bar)
            form = _form(texts)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            side = _side(texts)
            panel = run_panel.build(context, prefix="recipe", none="recipes.none")
    dataset_preview.keep_fresh(context.news, gr.State("data"), form["data"])
    _wire_choice(context, form)
    _wire_start(context, form, side, panel)
    _wire_group(context, side, panel)
    return panel


def _form(texts: Texts) -> dict[str, Any]:
    choice = texts.make(
        gr.Dropdown,
        {"label": "recipes.choice", "info": "recipes.choice_help"},
        choices=recipes.choices("en"),
        value=FIRST,
        filterable=False,
        elem_id="recipe",
    )
    words = gr.Markdown(elem_id="recipe-text", latex_delimiters=[])
    boxes = []
    for start in range(0, MAX_DATA, 2):
        with gr.Row(elem_classes="fields"):
            boxes += [_data_box(number) for number in range(start, start + 2)]
    name = texts.make(
        gr.Textbox,
        {"label": "recipes.name", "info": "recipes.name_help"},
        max_lines=1,
        elem_id="recipe-name",
    )
    more = texts.make(
        gr.Textbox,
        {"label": "recipes.more", "info": "recipes.more_help"},
        lines=3,
        elem_id="recipe-more",
    )
    return {"choice": choice, "words": words, "data": boxes, "more": more, "name": name}


def _data_box(number: int) -> Any:
    return gr.Dropdown(
        choices=[],
        multiselect=True,
        allow_custom_value=True,
        visible=False,
        interactive=True,
        elem_id=f"recipe-data-{number + 1}",
    )


def _side(texts: Texts) -> dict[str, Any]:
    start = texts.make(
        gr.Button, {"value": "recipes.start"}, variant="primary", elem_id="recipe-start"
    )
    told = answer.draw(texts, start, "recipe-answer")
    problems = message.start_problems(texts, "recipe-problems")
    commands = texts.make(
        gr.Code,
        {"label": "recipes.commands"},
        interactive=False,
        lines=2,
        max_lines=14,
        wrap_lines=True,
        show_line_numbers=False,
        elem_id="recipe-commands",
    )
    group = texts.make(
        gr.Dropdown,
        {"label": "recipes.group", "info": "recipes.group_help"},
        choices=[],
        value=None,
        elem_id="recipe-group",
    )
    table = texts.make(
        gr.Dataframe,
        {"label": "recipes.table"},
        headers=_headers("en"),
        type="array",
        datatype="str",
        interactive=False,
        visible=False,
        buttons=[],
        elem_id="recipe-stages",
        elem_classes=["listed", "picked"],
    )
    return {
        "start": start,
        "answer": told,
        "problems": problems,
        "commands": commands,
        "group": group,
        "table": table,
    }


def _headers(lang: str) -> list[str]:
    return [t(f"recipes.column.{name}", lang) for name in recipes.COLUMNS]


def _wire_choice(context: Context, form: dict[str, Any]) -> None:
    """The chosen recipe in words, a box for the data sets of each stage."""
    outputs = [form["words"], *form["data"]]

    def show(name: str, lang: str, anew: bool) -> list[Any]:
        try:
            recipe = contract.read(name)
        except TuneboardError as error:
            return [problem_lines(error.problems, lang), *[gr.update(visible=False)] * MAX_DATA]
        found = list(recipes.datasets_of(recipe).items())[:MAX_DATA]
        boxes = [
            gr.update(
                visible=True,
                label=t("recipes.data", lang, stage=stage),
                **({"value": names} if anew else {}),
            )
            for stage, names in found
        ]
        return [recipes.text(recipe, lang), *boxes, *[_hidden()] * (MAX_DATA - len(found))]

    given = {"inputs": [form["choice"], context.lang], "outputs": outputs, **QUIET}
    form["choice"].input(lambda name, lang: show(name, lang, True), **given)
    boxes = {"choice": form["choice"], "name": form["name"], BOX: form["more"]}
    boxes |= {f"data{number}": box for number, box in enumerate(form["data"])}
    context.keeper.add("recipes", boxes, _with_data)
    again = {key: given[key] for key in ("inputs", "outputs")}
    context.keeper.then(fn=lambda name, lang: show(name, lang, False), **again)
    context.lang.change(lambda name, lang: show(name, lang, False), **given)
    context.lang.change(
        lambda lang: gr.update(choices=recipes.choices(lang)), context.lang, form["choice"], **QUIET
    )


def _with_data(boxes: dict[str, Any]) -> dict[str, Any]:
    """What was kept; the chosen recipe's own data sets where none were."""
    try:
        found = recipes.datasets_of(contract.read(str(boxes.get("choice", FIRST))))
    except TuneboardError:
        return boxes
    return {**{f"data{n}": names for n, names in enumerate(found.values())}, **boxes}


def _hidden() -> Any:
    return gr.update(visible=False, value=[])


def _wire_start(context: Context, form: dict[str, Any], side: dict[str, Any], panel: Any) -> None:
    boxes = [form["choice"], form["name"], form["more"], *form["data"]]
    inputs = [context.lang, *boxes, context.bar.box]

    def planned(given: Sequence[Any]) -> Any:
        name, group, more, *rest = given
        return recipes.plan(chosen(name, group, more, rest[:-1], context.bar.held(rest[-1])))

    def preview(lang: str, *given: Any) -> list[Any]:
        plan, problems = planned(given)
        errors = [problem for problem in problems if not problem.notice]
        return [
            recipes.commands(plan) if plan else "",
            gr.update(visible=bool(errors), value=problem_lines(errors, lang)),
            gr.update(interactive=not errors),
        ]

    def start(lang: str, *given: Any) -> list[Any]:
        plan, problems = planned(given)
        errors = [problem for problem in problems if not problem.notice]
        if plan and not errors:
            try:
                folder = str(recipes.start(plan))
            except TuneboardError as error:
                errors = list(error.problems)
            else:
                group = gr.update(choices=_groups(), value=folder)
                return [group, folder, "", *answer.started()]
        return [*[gr.skip()] * 3, *answer.refused(errors, lang)]

    gr.on(
        [box.change for box in inputs] + [context.page.load],
        preview,
        inputs,
        [side["commands"], side["problems"], side["start"]],
        trigger_mode="always_last",
        **QUIET,
    )
    outputs = [side["group"], panel, form["name"], *side["answer"].outputs]
    side["answer"].hear()
    started = side["start"].click(start, inputs, outputs, api_visibility="private")
    edits = [*(box.input for box in boxes), context.bar.box.change]
    side["answer"].wire(context, started, edits)


def chosen(
    name: str, group: str, more: str, data: Sequence[Any], bar: Mapping[str, Any]
) -> recipes.Selection:
    """What the widgets hold, as the recipe takes it; a default of the bar says nothing."""
    try:
        stages = list(recipes.datasets_of(contract.read(name)))
    except TuneboardError:
        stages = []
    values = {key: bar[key] for key in recipes.BAR if _says(key, bar.get(key))}
    datasets = {stage: names or [] for stage, names in zip(stages, data, strict=False)}
    return recipes.Selection(name, group or "", values, datasets, more or "")


def _says(name: str, value: Any) -> bool:
    return value not in (None, "", []) and value != display(FIELDS[name], FIELDS[name].default)


def _groups() -> list[tuple[str, str]]:
    return [(view.name, str(view.path)) for view in recipes.groups()]


def _wire_group(context: Context, side: dict[str, Any], panel: Any) -> None:
    """The stages of the chosen chain, followed; a click on one opens its run."""
    seen, news = gr.State(None), context.news

    def refresh(lang: str, group: str | None, shown: str, before: Any) -> list[Any]:
        known = _groups()
        place = recipes.find_group(group or (known[0][1] if known else None))
        whole = str(place) if place else None
        rows = recipes.rows(place, lang) if place else []
        now = (lang, whole, known, rows)
        if now == before:
            return [gr.skip()] * 4
        # What is shown is not written back: a start may be answered at the same time.
        chosen = {} if group == whole else {"value": whole}
        return [
            gr.update(choices=known, **chosen),
            gr.update(visible=bool(rows), value=rows, headers=_headers(lang)),
            gr.skip() if shown or not whole else whole,
            now,
        ]

    def pick(group: str | None, event: gr.SelectData) -> Any:
        row = event.row_value or [""]
        folder = recipes.find_group(group)
        place = recipes.find_run(folder, str(row[0])) if folder else None
        return gr.skip() if place is None else str(place)

    def whole(group: str | None, shown: str) -> str:
        return str(recipes.find_group(group) or shown)

    gr.on(
        [news.runs.change, news.steps.change, context.lang.change, side["group"].change],
        refresh,
        [context.lang, side["group"], panel, seen],
        [side["group"], side["table"], panel, seen],
        **QUIET,
    )
    group = [side["group"], panel]
    side["group"].input(whole, group, panel, **QUIET)
    side["table"].select(pick, side["group"], panel, **QUIET)
