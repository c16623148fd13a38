"""Recipes for the page: their texts, the plan of a visitor's selection, and started chains."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from app.i18n import has, name_choice, t
from app.services.runs import history, run_text, runs
from app.services.runs.listed_run import ListedRun
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import format_value, parse, parse_pairs, resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.typed import Arguments
from backend.contract.launching import launch, recipes
from backend.contract.launching.recipes import Plan, Recipe, Stage
from backend.contract.registry.dataset_info import names as listed
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView
from backend.contract.texts.problems import Problem, TuneboardError

# Arguments that the model bar sets for every stage; the others are the recipe's.
BAR: tuple[ArgumentName, ...] = (
    "model_name_or_path",
    "template",
    "default_system",
    "hub_name",
    "model_revision",
    "cache_dir",
    "hf_hub_token",
    "ms_hub_token",
    "trust_remote_code",
    "flash_attn",
)

TASKS = {"eval": "tab.evaluate", "export": "tab.export"}  # names of steps that are no training


@dataclass(frozen=True)
class StageRow:
    """A stage of a started chain, or the whole chain (whose number is ""), in words.

    run  the folder of its run; "" where it has not begun
    """

    number: str
    name: str
    state: str
    tone: str = "quiet"
    steps: str = "–"
    loss: str = "–"
    run: str = ""


@dataclass(frozen=True)
class Selection:
    """A visitor's selection: the recipe, the group's name, the bar's values, data sets by stage."""

    recipe: str
    name: str
    bar: Values
    datasets: Mapping[str, Sequence[str]]
    more: str


def title(name: str, lang: str) -> str:
    """The title of a recipe; one without a text in locales has its name as the title."""
    key = f"recipe.{name}.title"
    return t(key, lang) if has(key) else name


def choices(lang: str) -> list[tuple[str, str, str]]:
    """(name, title, its stages in their order) of every recipe; no stages where its file cannot be
    read."""
    return [(name, title(name, lang), _list_stages(name, lang)) for name in recipes.list_recipes()]


def _list_stages(name: str, lang: str) -> str:
    try:
        recipe = recipes.read(name)
    except TuneboardError:
        return ""
    return " → ".join(_name_kind(_kind(recipe, stage), lang) for stage in recipe.stages)


def name_stages(recipe: Recipe, lang: str) -> dict[str, str]:
    """What each stage of a recipe is called on the page, by the name that its file gives it: the
    kind of stage, with that name where the recipe has several of the kind."""
    kinds = {stage.name: _kind(recipe, stage) for stage in recipe.stages}
    counts = Counter(kinds.values())
    return {
        name: _name_kind(kind, lang) + (f" · {name}" if counts[kind] > 1 else "")
        for name, kind in kinds.items()
    }


def _kind(recipe: Recipe, stage: Stage) -> str:
    """The stage of a training; the task of any other step."""
    return _arguments(recipe, stage).stage if stage.task == "train" else stage.task


def _name_kind(kind: str, lang: str) -> str:
    return t(TASKS[kind], lang) if kind in TASKS else name_choice("stage", kind, lang)


def text(recipe: Recipe, lang: str) -> str:
    """The purpose of a recipe, its stages and its base model, as Markdown."""
    key = f"recipe.{recipe.name}.text"
    advice = t(key, lang) if has(key) else run_text.plain(recipe.description)
    titles = name_stages(recipe, lang)
    lines = [
        f"{number}. {_step(recipe, stage, titles, lang)}"
        for number, stage in enumerate(recipe.stages, 1)
    ]
    model = run_text.plain(Arguments.from_known(recipe.base).model_name_or_path or "")
    return "\n".join([advice, "", *lines, "", t("recipes.model", lang, model=model)])


def _step(recipe: Recipe, stage: Stage, titles: Mapping[str, str], lang: str) -> str:
    method = ""
    if stage.task == "train":
        method = _arguments(recipe, stage).finetuning_type
        method = name_choice("finetuning_type", method, lang)
    before = ", ".join(titles.get(name, name) for name in dict.fromkeys(stage.links.values()))
    parts = [method, t("recipes.after", lang, stages=before) if before else ""]
    what = run_text.plain(", ".join(part for part in parts if part) or stage.name)
    key = f"recipe.step.{_kind(recipe, stage)}"
    words = t(key, lang) if has(key) else ""
    return t("recipes.step", lang, stage=run_text.plain(titles[stage.name]), what=what, text=words)


def datasets_of(recipe: Recipe) -> dict[str, list[str]]:
    """The data sets of each training stage, as the recipe names them."""
    training = [stage for stage in recipe.stages if stage.task == "train"]
    return {stage.name: listed(_arguments(recipe, stage).dataset) for stage in training}


def _arguments(recipe: Recipe, stage: Stage) -> Arguments:
    """The arguments of a training stage, with those that it shares with others."""
    return resolve(parse({**recipe.base, **stage.arguments}, "train")[0])


def plan(selection: Selection) -> tuple[Plan | None, list[Problem]]:
    """The plan of a selection (None for an unreadable recipe), and every problem and notice."""
    try:
        recipe = recipes.read(selection.recipe)
    except TuneboardError as error:
        return None, list(error.problems)
    settings, problems = parse_pairs(
        [line.strip() for line in selection.more.splitlines() if line.strip()]
    )
    values: dict[str, object] = {
        name: format_value(value) for name, value in selection.bar.items() if value is not None
    }
    for stage, standard in datasets_of(recipe).items():
        names = list(selection.datasets.get(stage, standard))
        if names != standard:
            values[f"{stage}.dataset"] = ",".join(names)
    name = selection.name.strip() or f"{recipe.name}_{datetime.datetime.now():%Y-%m-%d-%H-%M-%S}"
    chain = recipes.plan(recipe, name, {**values, **settings})
    return chain, [*problems, *recipes.check(chain)]


def name_places(chain: Plan | None, problems: Sequence[Problem], lang: str) -> list[Problem]:
    """The problems of a plan with what each stage is called on the page as its place."""
    titles = name_stages(chain.recipe, lang) if chain else {}
    return [
        replace(problem, params={**problem.params, "at": titles[place]})
        if (place := problem.params.get("at")) in titles
        else problem
        for problem in problems
    ]


def commands(chain: Plan) -> str:
    """The commands of all stages."""
    return "\n\n".join(step.command.shell() for step in chain.steps)


def start(chain: Plan, *, queued: bool = False) -> Path:
    """Start the chain, or put it into the queue, and return the group's folder. Raises
    RunFolderError."""
    text, command = chain.text(), chain.command
    launch.start_recipe(chain.folder, text, command, exclusive=not queued, queued=queued)
    runs.forget()
    return chain.folder


def groups() -> list[ListedRun]:
    """The groups of started chains, the newest first."""
    return [run for run in runs.list_runs() if run.task == launch.RECIPE]


def find_group(folder: str) -> Path | None:
    """The folder of a started chain; None for any other path in a request."""
    return next((run.path for run in groups() if str(run.path) == folder), None)


@lru_cache(maxsize=64)
def _stages(folder: Path, _: float, lang: str) -> tuple[tuple[str, Path], ...]:
    try:
        recipe = recipes.read(str(folder / run_folder.ARGUMENTS))
    except TuneboardError:
        return ()
    titles = name_stages(recipe, lang)
    steps = recipes.plan(recipe, folder.name, {}).steps
    return tuple((titles[step.name], step.folder) for step in steps)


def stages(folder: Path, lang: str) -> tuple[tuple[str, Path], ...]:
    """(what it is called, folder of its run) for each stage of the group in `folder`, in their
    order; () where its recipe cannot be read."""
    try:
        return _stages(folder, (folder / run_folder.ARGUMENTS).stat().st_mtime, lang)
    except OSError:
        return ()


def rows(folder: Path, lang: str) -> list[StageRow]:
    """The whole chain in a group, and each of its stages."""
    group = runs.view(folder)
    table = [_describe("", t("recipes.whole", lang), group, lang)]
    for number, (name, place) in enumerate(stages(folder, lang), 1):
        if (place / run_folder.RUN).is_file():
            table.append(_describe(str(number), name, runs.view(place), lang))
        else:
            word = t("recipes.not_begun" if group.ended else "recipes.waiting", lang)
            table.append(StageRow(str(number), name, word))
    return table


def _describe(number: str, name: str, view: RunView, lang: str) -> StageRow:
    return StageRow(
        number,
        name,
        t(f"state.{view.state.value}", lang),
        run_text.tone(view),
        run_text.steps(view, lang),
        run_text.describe_loss(history.read(view.path).loss, lang),
        str(view.path),
    )
