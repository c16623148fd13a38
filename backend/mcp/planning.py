"""Tools that judge arguments and start with them, by the checks and the launch of the command."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from backend.contract.arguments.arguments import canonical_name, parse, parse_task
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import home, names_missing_data, prepare, resource_folder
from backend.contract.launching import launch
from backend.contract.preflight import estimates
from backend.contract.runs import run_folder
from backend.contract.runs.forecast import Forecast, describe
from backend.contract.texts.problems import Problem, TuneboardError, UsageError, errors
from backend.mcp.listing import Task
from backend.mcp.run_row import ProblemRow, RunRow, describe_run
from backend.mcp.tool import Input
from backend.model import checks

# A client gives up earlier; then the libraries are loaded nevertheless, and its next call is quick.
SILENCE_S = 600.0
DATA = FIELDS["dataset_dir"]


def _read_object(value: object) -> object:
    """Some clients send an object within an object as its JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


Raw = Annotated[
    dict[str, Any],
    BeforeValidator(_read_object),
    Field(
        description="Arguments by name, as `tuneboard TASK --name value` takes them, for example "
        '{"model_name_or_path": "saves/models/SmolLM2-135M-Instruct", "dataset": "identity", '
        '"stage": "sft", "finetuning_type": "lora", "num_train_epochs": 3}. What is left out is '
        "at its default. list_arguments says which there are."
    ),
]


class CheckArguments(Input):
    """A task and its arguments."""

    task: Task = "train"
    arguments: Raw


class Judgement(BaseModel):
    """Whether a task can be started with these arguments."""

    good: bool = Field(description="whether a start would be accepted")
    task: str = Field(description="eval where the arguments of a train only evaluate")
    problems: list[ProblemRow]
    command: str = Field(
        description="the same for a shell; empty where an argument is wrong. Secrets are read from "
        "the environment"
    )
    folder: str = Field(description="the working folder, in which the command is typed")


@dataclass(frozen=True)
class Checked:
    """Values of a task, and what is wrong with them or worth knowing.

    `reads_shipped_data` where their dataset_dir is the folder that a start copies to data/.
    """

    task: str
    values: Values
    problems: list[Problem]
    reads_shipped_data: bool = False

    def to_judgement(self) -> Judgement:
        """What an agent reads of it."""
        good = not errors(self.problems)
        started = dict(self.values)
        if self.reads_shipped_data:
            started["dataset_dir"] = DATA.default
        return Judgement(
            good=good,
            task=self.task,
            problems=[ProblemRow.of(problem) for problem in self.problems],
            command=Command.build(self.task, started).shell() if good else "",
            folder=str(home()),
        )


def check_arguments(question: CheckArguments) -> Judgement:
    """Check a set of arguments as a start would: names, values, rules across them, the model, the
    data sets, packages and the output folder. Nothing is started or written. All problems are
    listed at once, each with its argument."""
    return check(question.task, question.arguments).to_judgement()


def check(task: str, raw: Mapping[str, object]) -> Checked:
    """The values of a task with every problem; the values of secrets are refused.

    Nothing is written: where data/ is missing, the sets that a start puts there are read where they
    ship.
    """
    secrets = [name for name in raw if _is_secret(name)]
    plain = {name: value for name, value in raw.items() if name not in secrets}
    task, values, problems = parse_task(task, functools.partial(parse, plain))
    folder = values.get(DATA.name, DATA.default)
    shipped = task in DATA.tasks and names_missing_data(folder)
    if shipped:
        values = {**values, "dataset_dir": str(resource_folder("data"))}
    values, problems = checks.find_problems(task, values, problems)
    return Checked(task, values, [*map(_refuse, secrets), *problems], shipped)


def _is_secret(name: str) -> bool:
    field = FIELDS.get(canonical_name(name))
    return field is not None and bool(field.secret)


def _refuse(name: str) -> Problem:
    variable = FIELDS[canonical_name(name)].to
    return Problem(code="mcp_secret", field=name, params={"variable": variable})


class PlanTraining(Input):
    """The arguments of a training."""

    arguments: Raw


class Place(BaseModel):
    """Memory that a training can use: of a GPU, or of this machine."""

    name: str
    free: int = Field(description="bytes")
    all: int = Field(description="bytes")


class Memory(BaseModel):
    """The peak of the memory that a training needs, in bytes."""

    total: int
    parts: dict[str, int]
    places: list[Place]
    fits: bool
    changes: dict[str, bool | int | float | str | None] = Field(
        description="where it does not fit: the nearest arguments with which it does; else empty"
    )


class Course(BaseModel):
    """The course of a training."""

    steps: int
    rows: int
    batch: int = Field(description="rows of a step")
    tokens: int | None
    seconds: float | None = Field(description="null where nothing like it was timed here yet")
    words: list[str]


class Plan(Judgement):
    """A judgement, and what the training would need; null where that is not known."""

    memory: Memory | None
    course: Course | None
    unknown: str = Field(description="why memory or course is null; else empty")


def plan_training(question: PlanTraining) -> Plan:
    """Plan a training without starting it: whether its arguments are right, how much memory it
    needs against what is free, how many steps and how long it takes, and the command that does the
    same in a terminal. The first call takes half a minute, as libraries are loaded."""
    checked = check("train", question.arguments)
    judgement = checked.to_judgement()
    memory, course, unknown = None, None, ""
    if judgement.good and judgement.task == "train":
        try:
            memory = _estimate(checked.values)
            forecast = estimates.foresee(checked.values)
            course = _describe_course(forecast) if forecast else None
        except TuneboardError as error:
            unknown = "\n".join(problem.text() for problem in error.problems)
    return Plan(**vars(judgement), memory=memory, course=course, unknown=unknown)


def _estimate(values: Values) -> Memory:
    row = estimates.estimate(values, SILENCE_S)
    fits = any(place["free"] >= row["total"] for place in row["places"])
    changes = {} if fits else estimates.fit(values)["changes"]
    return Memory.model_validate({**row, "fits": fits, "changes": changes})


def _describe_course(forecast: Forecast) -> Course:
    notices = [notice.text() for notice in forecast.notices]
    return Course(
        steps=forecast.steps,
        rows=forecast.rows,
        batch=forecast.batch,
        tokens=forecast.tokens,
        seconds=forecast.seconds,
        words=[*describe(forecast), *notices],
    )


class StartRun(Input):
    """What is started, and whether it waits for others."""

    task: Task = "train"
    arguments: Raw
    queue: bool = Field(
        False,
        description="true: the run begins once all that go on have ended; false: the start is "
        "refused while another run goes on, as two rarely fit into one memory",
    )


class Started(BaseModel):
    """A run that was started."""

    run: RunRow
    command: str = Field(description="the command of the run, for a shell")
    problems: list[ProblemRow] = Field(description="what is worth knowing")


def start_run(question: StartRun) -> Started:
    """Start a training, an evaluation, an export or a new vocabulary. The run goes on by itself,
    also when this server or its client ends; follow_run says how it does. Wrong arguments start
    nothing. Models and data sets of a hub are downloaded."""
    prepare()
    checked = check(question.task, question.arguments)
    wrong = errors(checked.problems)
    if wrong:
        raise UsageError(*wrong)
    folder = launch.start(
        checked.task, checked.values, exclusive=not question.queue, queued=question.queue
    )
    return Started(
        run=describe_run(run_folder.read(folder)),
        command=Command.build(checked.task, checked.values).shell(),
        problems=[ProblemRow.of(problem) for problem in checked.problems],
    )
