"""Tools that list: models, data sets, runs, and the arguments that a task takes."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from backend.cli.data_sets import describe_entry
from backend.contract.arguments.arguments import fields_of, needs
from backend.contract.arguments.field import Field as ArgumentField
from backend.contract.folders.home import names_missing_data, relative, resource_folder, saves
from backend.contract.launching import launch
from backend.contract.models.model_folder import adapter_base
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import Entry
from backend.contract.runs import model_folders, run_folder
from backend.contract.texts.locales import t
from backend.contract.texts.problems import DataError
from backend.datafiles import entering, reading
from backend.mcp.run_row import RunRow, describe_run
from backend.mcp.tool import Input

HUBS = ("huggingface", "modelscope")
Task = Annotated[
    Literal["train", "eval", "export", "vocab"],
    Field(description="the subcommand of tuneboard"),
]
Limit = Annotated[int, Field(ge=1, le=200, description="how many rows at most")]
First = Annotated[int, Field(ge=0, description="the row to begin with, from 0")]


class ListModels(Input):
    """Nothing."""


class ModelRow(BaseModel):
    """A model or an adapter."""

    path: str = Field(
        description="the value for model_name_or_path, or, of an adapter, for adapter_name_or_path"
    )
    kind: Literal["model", "adapter"]
    source: Literal["local", "huggingface", "modelscope", "run"] = Field(
        description="a folder on this machine, a download of a hub, or the result of a run"
    )
    base: str = Field(description="of an adapter: the model that it was trained on")
    checkpoints: list[str] = Field(description="of a run: the paths of its whole checkpoints")


class Models(BaseModel):
    """The models that can be used without a download."""

    models: list[ModelRow]


def list_models(_: ListModels) -> Models:
    """List the models and adapters on this machine: folders in saves/models, downloads from hubs,
    and the results of runs. Any id of the Hugging Face hub works as model_name_or_path, too; it is
    downloaded when a run starts."""
    rows = [_plain_row(model.path, "local") for model in model_folders.local_models()]
    for hub in HUBS:
        rows += [_plain_row(name, hub) for name in model_folders.downloaded_models(hub)]
    return Models(models=[*rows, *_results()])


def _plain_row(path: str, source: str) -> ModelRow:
    row = {"path": path, "kind": "model", "source": source, "base": "", "checkpoints": []}
    return ModelRow.model_validate(row)


def _results() -> Iterator[ModelRow]:
    """The models and adapters that runs have made, the newest first."""
    for view in run_folder.runs(saves()):
        folder = model_folders.result_folder(view)
        made = view.task == "train" or view.task in model_folders.MAKERS
        if not made or not model_folders.is_usable(folder):
            continue
        adapter = model_folders.is_adapter(folder)
        points = run_folder.checkpoints(view.path) if view.task == "train" else []
        yield ModelRow(
            path=relative(folder),
            kind="adapter" if adapter else "model",
            source="run",
            base=adapter_base(folder) if adapter else "",
            checkpoints=[relative(point.path) for point in points],
        )


class ListDatasets(Input):
    """Which registry is read."""

    dataset_dir: str = Field("data", description="the folder that holds dataset_info.json")


class DatasetRow(BaseModel):
    """A registered data set."""

    name: str = Field(description="the value for dataset or eval_dataset")
    kind: str = Field(
        description="sft (questions and answers: stages sft, ppo, grpo, rloo, online_dpo, "
        "distillation), preference (dpo, rm), kto, text (pt), prompt (ppo, grpo and their kin); "
        "empty where it cannot be used"
    )
    place: str = Field(description="its file or folder, or its id on a hub")
    rows: int | None = Field(description="null where only reading a large file would tell")
    bytes: int | None = Field(description="null where it is not on this machine")
    problem: str = Field(description="why it cannot be used; else empty")


class Datasets(BaseModel):
    """The registered data sets."""

    datasets: list[DatasetRow]


def list_datasets(question: ListDatasets) -> Datasets:
    """List the data sets that are registered in dataset_info.json, with their kind and size. A
    path of a data file (json, jsonl, csv, parquet, txt ...) works as dataset, too."""
    folder = question.dataset_dir
    if names_missing_data(folder):
        folder = str(resource_folder("data"))
    entries = dataset_info.entries(folder)
    return Datasets(datasets=[_describe(entry) for entry in entries.values()])


def _describe(entry: Entry) -> DatasetRow:
    row = describe_entry(entry)
    problem = str(row["problem"] or "")
    kind, rows = "", None
    if not problem:
        try:
            kind = entering.kind_of_set(entry)
            rows = reading.count(entry.path) if entry.path else None
        except DataError as error:
            problem = error.problems[0].text()
    return DatasetRow.model_validate({**row, "kind": kind, "rows": rows, "problem": problem})


class ListRuns(Input):
    """Which runs are listed."""

    going: bool = Field(False, description="only runs that have not ended")
    first: First = 0
    limit: Limit = 20


class Runs(BaseModel):
    """Runs, the newest first."""

    total: int
    runs: list[RunRow]


def list_runs(question: ListRuns) -> Runs:
    """List the runs (trainings, evaluations, exports, recipes) with their states, the newest
    first; also those that a person has started on the page or in a terminal."""
    views = launch.list_going() if question.going else run_folder.runs(saves())
    last = question.first + question.limit
    return Runs(
        total=len(views), runs=[describe_run(each) for each in views[question.first : last]]
    )


class ListArguments(Input):
    """Which arguments are listed."""

    task: Task = "train"
    search: str = Field("", description="only arguments whose name, label or help contains this")
    first: First = 0
    limit: Limit = 40


class ArgumentRow(BaseModel):
    """One argument of a task."""

    name: str
    kind: str = Field(description="bool, int, float, text, choice, list, numbers, path or json")
    default: bool | int | float | str | None
    choices: list[str]
    low: float | None
    high: float | None
    needs: str = Field(description="the values of other arguments with which it applies")
    group: str
    help: str
    secret: str = Field(
        description="where this is not empty, the argument is a secret: no tool takes it; it is "
        "the environment variable that holds it, in the configuration of this server"
    )


class ArgumentList(BaseModel):
    """Arguments of a task, in the order of their groups."""

    total: int
    arguments: list[ArgumentRow]


def list_arguments(question: ListArguments) -> ArgumentList:
    """List the arguments that a task takes, with kind, default, limits and help. Search for a word
    (learning rate, lora, eval) rather than reading all of them."""
    word = question.search.strip().lower()
    fields = [each for each in fields_of(question.task) if word in _join_texts(each)]
    shown = fields[question.first : question.first + question.limit]
    rows = [_describe_argument(each, question.task) for each in shown]
    return ArgumentList(total=len(fields), arguments=rows)


def _join_texts(field: ArgumentField) -> str:
    texts = (t(f"field.{field.name}.{part}") for part in ("label", "help"))
    return " ".join([field.name, field.name.replace("_", " "), *texts]).lower()


def _describe_argument(field: ArgumentField, task: str) -> ArgumentRow:
    return ArgumentRow(
        name=field.name,
        kind=field.kind,
        default=field.default_in(task),
        choices=list(field.choices),
        low=field.low,
        high=field.high,
        needs=needs(field, task),
        group=t(f"group.{field.group}"),
        help=t(f"field.{field.name}.help"),
        secret=field.to if field.secret else "",
    )
