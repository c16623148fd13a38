"""The Recipes tab: choose a chain, its data sets, see its commands, start and follow it."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr

from app.form.component import Question, make_component
from app.form.extra_arguments import BOX
from app.form.listing import Cell, Listing, ListItem, View
from app.form.values import display
from app.i18n import DEFAULT_LANGUAGE, TextKeys, Texts, t
from app.problems import problem_lines
from app.services.runs import recipes, run_text
from app.tabs.data import data_view
from app.tabs.run import run_panel
from app.tabs.shared import answer, message, model_bar
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.advice.ways import QUESTIONS, list_ways
from backend.contract.arguments.fields import FIELDS
from backend.contract.launching import recipes as contract
from backend.contract.texts.problems import Problem, TuneboardError

MAX_DATA = 6  # stages of one recipe with data sets that the page shows
FIRST = "chat_domain_sft"


def build(context: Context, opened: Any) -> Any:
    """Draw the tab and wire it; returns the run panel. `opened` is the event of its opening."""
    texts = context.texts
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320, elem_classes="plain"):
            model_bar.draw_chosen(context.bar)
            form = _form(texts)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            side = _side(texts)
            panel = run_panel.build(context, prefix="recipe", none="recipes.none")
    data_view.keep_fresh(context.news, gr.State("data"), form["data"])
    _wire_choice(context, form)
    _wire_start(context, form, side, panel, opened)
    _wire_group(side, panel)
    return panel


def _guide() -> Any:
    """Four questions that choose the recipe."""
    ways = list_ways()
    keys = {name: f"guide.{name}" for name in ("title", "take", *QUESTIONS)}
    keys |= {
        f"{name}_{answer}": f"guide.{name}_{answer}"
        for name, answers in QUESTIONS.items()
        for answer in answers
    }
    for recipe in {*ways.values()}:
        keys |= {f"{part}_{recipe}": f"recipe.{recipe}.{part}" for part in ("title", "text")}
    return make_component(
        "guide",
        '<div class="form-first guide"></div>',
        "",
        events=["take"],
        elem_id="guide",
        questions=QUESTIONS,
        ways=ways,
        words=TextKeys(keys),
    )


def _form(texts: Texts) -> dict[str, Any]:
    guide = _guide()
    choice = RECIPES.draw("recipes.choice", "recipe", value=FIRST)
    recipe = contract.read(FIRST)
    words = gr.Markdown(
        recipes.text(recipe, DEFAULT_LANGUAGE), elem_id="recipe-text", latex_delimiters=[]
    )
    titles = recipes.name_stages(recipe, DEFAULT_LANGUAGE)
    shown = [(titles[stage], names) for stage, names in recipes.datasets_of(recipe).items()]
    shown += [("", [])] * (MAX_DATA - len(shown))
    boxes = []
    for start in range(0, MAX_DATA, 2):
        with gr.Row(elem_classes="fields"):
            boxes += [_data_box(n, *shown[n]) for n in range(start, start + 2)]
    name = _text_box(texts, "name", max_lines=1, placeholder=f"{FIRST}_1")
    more = _text_box(texts, "more", lines=3, placeholder=_example(recipe))
    return {
        "guide": guide,
        "choice": choice,
        "shown": gr.State((FIRST, 0.0)),  # the recipe whose data sets the boxes hold, since when
        "words": words,
        "data": boxes,
        "more": more,
        "name": name,
    }


def _text_box(texts: Texts, name: str, **look: Any) -> Any:
    keys = {"label": f"recipes.{name}", "info": f"recipes.{name}_help"}
    return texts.make(gr.Textbox, keys, elem_id=f"recipe-{name}", **look)


def _example(recipe: contract.Recipe) -> str:
    """Other settings as they are typed, with the name of a stage of this recipe."""
    every = "num_train_epochs=2"
    named = [f"{name}.learning_rate=0.0001" for name in recipes.datasets_of(recipe)]
    return "\n".join([every, *named[-1:]])


def _data_box(number: int, stage: str, names: Sequence[str]) -> Any:
    return gr.Dropdown(
        choices=[*names],
        value=[*names],
        multiselect=True,
        allow_custom_value=True,
        visible=bool(stage),
        label=t("recipes.data", stage=stage),
        interactive=True,
        elem_id=f"recipe-data-{number + 1}",
    )


def _side(texts: Texts) -> dict[str, Any]:
    with gr.Column(elem_classes="start-bar"):
        start = texts.make(
            gr.Button, {"value": "recipes.start"}, variant="primary", elem_id="recipe-start"
        )
        start_answer = answer.draw(texts, start, "recipe-answer")
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
    group = CHAINS.draw("recipes.group", "recipe-group", news=["runs", "steps"])
    table = STAGES.draw("recipes.table", "recipe-stages", news=["runs", "steps"])
    return {
        "start": start,
        "answer": start_answer,
        "problems": problems,
        "commands": commands,
        "group": group,
        "table": table,
    }


def _wire_choice(context: Context, form: dict[str, Any]) -> None:
    """The chosen recipe in words, a box for the data sets of each stage."""
    outputs = [form["words"], form["more"], form["shown"], *form["data"]]

    def show(name: str, lang: str, anew: bool) -> list[Any]:
        try:
            recipe = contract.read(name)
        except TuneboardError as error:
            hidden = [gr.update(visible=False)] * MAX_DATA
            return [
                problem_lines(error.problems, lang),
                gr.skip(),
                (name, time.monotonic()),
                *hidden,
            ]
        titles = recipes.name_stages(recipe, lang)
        stage_sets = list(recipes.datasets_of(recipe).items())[:MAX_DATA]
        boxes = [
            gr.update(
                visible=True,
                label=t("recipes.data", lang, stage=titles[stage]),
                **({"value": names} if anew else {}),
            )
            for stage, names in stage_sets
        ]
        more = gr.update(placeholder=_example(recipe))
        hidden = [_hide()] * (MAX_DATA - len(stage_sets))
        shown = (name, time.monotonic())
        return [recipes.text(recipe, lang), more, shown, *boxes, *hidden]

    event = {"inputs": [form["choice"], context.lang], "outputs": outputs, **QUIET}
    form["choice"].choose(lambda name, lang: show(name, lang, True), **event)
    form["guide"].take(
        lambda name, lang: [name, *show(name, lang, True)],
        [form["guide"], context.lang],
        [form["choice"], *outputs],
        **QUIET,
    )
    boxes = {"choice": form["choice"], "name": form["name"], BOX: form["more"]}
    boxes |= {f"data{number}": box for number, box in enumerate(form["data"])}
    context.keeper.add("recipes", boxes, _with_data)
    again = {key: event[key] for key in ("inputs", "outputs")}
    context.keeper.then(fn=lambda name, lang: show(name, lang, False), **again)
    context.lang.change(lambda name, lang: show(name, lang, False), **event)


def _with_data(boxes: dict[str, Any]) -> dict[str, Any]:
    """What was kept; the chosen recipe's own data sets where none were."""
    try:
        stage_sets = recipes.datasets_of(contract.read(str(boxes.get("choice", FIRST))))
    except TuneboardError:
        return boxes
    return {**{f"data{n}": names for n, names in enumerate(stage_sets.values())}, **boxes}


def _hide() -> Any:
    return gr.update(visible=False, value=[])


def _wire_start(
    context: Context, form: dict[str, Any], side: dict[str, Any], panel: Any, opened: Any
) -> None:
    boxes = [form["choice"], form["name"], form["more"], *form["data"]]
    inputs = [context.lang, *boxes, context.bar.box]

    def plan_chain(box_values: Sequence[Any]) -> Any:
        name, group, more, *data, bar = box_values
        return recipes.plan(select(name, group, more, data, context.bar.read_box(bar)))

    def preview(shown: tuple[str, float], lang: str, *box_values: Any) -> list[Any]:
        if shown[0] != box_values[0]:  # the boxes hold the data sets of another recipe
            return [gr.skip()] * 3
        plan, problems = plan_chain(box_values)
        errors = [problem for problem in problems if not problem.notice]
        return [
            recipes.commands(plan) if plan else "",
            gr.update(visible=bool(errors), value=_write_lines(plan, errors, lang)),
            gr.update(interactive=not errors),
        ]

    def start(how: str, lang: str, refused: Sequence[Problem], *box_values: Any) -> list[Any]:
        plan, problems = plan_chain(box_values)
        errors = [problem for problem in problems if not problem.notice]
        if plan and not errors:
            try:
                folder = str(recipes.start(plan, queued=bool(how)))
                if how == "instead":
                    answer.stop_in_way(refused)
            except TuneboardError as error:
                errors = list(error.problems)
            else:
                return [folder, folder, "", *answer.show_started()]
        named = recipes.name_places(plan, errors, lang)
        return [*[gr.skip()] * 3, *answer.show_refused(named, lang)]

    # The boxes of another recipe change one after the other: not their changes are waited for, but
    # what says that all have come.
    texts = [form["name"], form["more"], context.bar.box, form["shown"]]
    gr.on(
        [opened, *(box.change for box in texts), *(box.input for box in form["data"])],
        preview,
        [form["shown"], *inputs],
        [side["commands"], side["problems"], side["start"]],
        trigger_mode="always_last",
        **QUIET,
    )
    outputs = [side["group"], panel, form["name"], *side["answer"].outputs]
    side["answer"].hear()
    edits = [form["choice"].change, *(box.input for box in boxes[1:]), context.bar.box.change]
    starts = [
        button.click(
            partial(start, how),
            [context.lang, side["answer"].problems, *inputs[1:]],
            outputs,
            api_visibility="private",
        )
        for how, button in {"": side["start"], **side["answer"].offers}.items()
    ]
    side["answer"].wire(context, starts, edits)


def _write_lines(plan: contract.Plan | None, problems: Sequence[Problem], lang: str) -> str:
    return problem_lines(recipes.name_places(plan, problems, lang), lang)


def select(
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


def _wire_group(side: dict[str, Any], panel: Any) -> None:
    """The stages of the chosen chain are listed; its run, or that of a stage, is shown."""
    group, table = side["group"], side["table"]
    group.change(None, group, None, js=STAGES.set_place(), **QUIET)
    for listed in (group, table):
        listed.change(lambda run: run or gr.skip(), listed, panel, **QUIET)


def _list_recipes(_: Question, lang: str) -> View:
    rows = [
        ListItem(name, [Cell(title, detail=stages)])
        for name, title, stages in recipes.choices(lang)
    ]
    return View([t("recipes.choice", lang)], rows, "")


def _list_chains(_: Question, lang: str) -> View:
    columns = [t(f"recipes.column.{name}", lang) for name in ("chain", "state", "steps")]
    rows = [
        ListItem(
            str(view.path),
            [
                Cell(view.name, time=view.created),
                Cell(t(f"state.{view.state.value}", lang), tone=run_text.tone(view)),
                Cell(run_text.steps(view, lang)),
            ],
        )
        for view in recipes.groups()
    ]
    return View(columns, rows, "", numbers=(2,))


def _list_stages(asked: Question, lang: str) -> View:
    """The stages of the chain whose folder is the place of the list."""
    folder = recipes.find_group(str(asked.get("place", "")))
    columns = [t(f"recipes.column.{name}", lang) for name in ("stage", "state", "steps", "loss")]
    rows = recipes.rows(folder, lang) if folder else []
    return View(columns, [_stage(row) for row in rows], "", numbers=(2, 3))


def _stage(row: recipes.StageRow) -> ListItem:
    name = f"{row.number}. {row.name}" if row.number else row.name
    cells = [Cell(name), Cell(row.state, tone=row.tone), Cell(row.steps), Cell(row.loss)]
    return ListItem(row.run or row.number, cells, fixed=not row.run)


RECIPES = Listing("recipe", _list_recipes, events=["choose"], filtered=False)
CHAINS = Listing("chains", _list_chains, first=True, filtered=False)
STAGES = Listing("stages", _list_stages, filtered=False)
