"""The Python object that trains, scores, queries and exports a model."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backend.cli.terminal import print_resumption, run_of
from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import output, prepare
from backend.contract.launching import launch
from backend.contract.preflight.model_server import ModelServer
from backend.contract.runs import resumed_run, run_folder
from backend.contract.runs.run_folder import State
from backend.contract.texts.printing import print_problems
from backend.contract.texts.problems import (
    Problem,
    RunFolderError,
    TuneboardError,
    UsageError,
    errors,
)
from backend.model.checks import check_values
from backend.tuner import chat_request, names, results, rows
from backend.tuner.following import follow
from backend.tuner.results import Evaluation, TrainResult, require_measured, result_names

SETS: tuple[ArgumentName, ...] = ("dataset", "eval_dataset")
SECRETS = tuple(field.name for field in FIELDS.values() if field.secret)
MODEL = {"model_name_or_path", "adapter_name_or_path"}


class Tuner:
    """Trains a model, scores it, talks to it and exports it.

    Every argument of `tuneboard train`, `eval`, `api` and `export` is taken by its name, by the
    names of Hugging Face's TrainingArguments, and by those of backend.tuner.names. Arguments of the
    constructor hold for all stages, arguments of a method for that call. The same child processes
    do the work as for the command, in run folders in saves/: the page shows them, and they go on
    if the Python process dies.

    Wrong arguments raise UsageError, wrong data DataError, a model that cannot be loaded
    ModelError, a run that has failed the error that it failed with: all of them TuneboardError.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        finetuning_type: str | None = None,
        **arguments: object,
    ) -> None:
        """`model`: a folder, a hub's id, or the name of a run; finetuning_type: lora unless given.

        Raises UsageError for names that no stage takes, and for invalid values.
        """
        first = {"model": model, "finetuning_type": finetuning_type}
        positional = {name: value for name, value in first.items() if value is not None}
        self._arguments = names.table_arguments({**positional, **arguments}, "train")
        names.require_known({n: v for n, v in self._arguments.items() if n not in SETS})
        self._run: Path | None = None
        self._server: ModelServer | None = None
        self._end: Any = None

    @property
    def run(self) -> Path | None:
        """The folder of the newest training of this object; None before the first."""
        return self._run

    def train(
        self, train_data: Any = None, eval_data: Any = None, *, wait: bool = True, **arguments: Any
    ) -> TrainResult:
        """Train on data and follow the run to its end; its result is what the other methods use.

        train_data, eval_data: the name of a registered set, a data file, several of these, or
        rows: a list of mappings, a datasets.Dataset, a frame of pandas, polars or pyarrow.
        wait=False returns at once; `wait` follows the run later.

        The first KeyboardInterrupt asks the run to save and stop (state STOPPED in the result),
        the second leaves it running and is raised.
        """
        sets = {"train_data": train_data, "eval_data": eval_data}
        values = self._values("train", {**_present(sets), **arguments})
        self.close()
        self._run = launch.start("train", values)
        return self.wait() if wait else TrainResult.read(self._run)

    def resume(
        self, run: str | Path | None = None, *, wait: bool = True, **arguments: Any
    ) -> TrainResult:
        """Go on with an ended training in its own folder, from its newest whole checkpoint.

        `run`: its folder or name; the newest training of this object unless given. Arguments are
        those that are others from here on. Raises RunFolderError where nothing can be resumed.
        """
        folder = run_of(str(run)) if run is not None else self._need_run()
        view = run_folder.read(folder)
        if not view.ended:
            raise RunFolderError(Problem(code="run_going_on", params={"path": str(folder)}))
        raw = names.table_arguments(arguments, "train")
        raw = _with_sets(raw, view.recorded, view.arguments.stage)
        values, problems = resumed_run.arguments_of(view, raw)
        values = check_values("train", {**values, **self._secrets()}, problems, print_resumption)
        self.close()
        launch.resume(folder, Command.build("train", values).env, values if raw else None)
        self._run = folder
        return self.wait() if wait else TrainResult.read(folder)

    def wait(self) -> TrainResult:
        """Follow the newest training to its end, as `train` does."""
        folder = self._need_run()
        follow(folder)
        return TrainResult.read(folder)

    def evaluate(
        self,
        test_data: Any = None,
        metrics: str | Sequence[str] = ("bleu", "rouge"),
        **arguments: Any,
    ) -> Evaluation:
        """Score the model, after `train` the trained one, on rows with answers.

        metrics: bleu, rouge, exact_match (answers are generated), loss, perplexity; of a reward
        model accuracy, margin. Without test_data the evaluation data of the training is used.
        Raises UsageError for a metric that is none, or that the stage does not have.
        """
        wanted = result_names(metrics)
        predicts = any(name.startswith("predict_") for name in wanted)
        measures = any(name.startswith("eval_") for name in wanted)
        fixed = {"do_predict": predicts, "do_eval": measures}
        call = {**_present({"test_data": test_data}), **fixed, **arguments}
        raw, stage = self._raw("eval", call)
        require_measured(wanted, stage)
        folder = launch.start("eval", _check_values("eval", raw, stage))
        follow(folder)
        evaluation = Evaluation.read(folder, wanted)
        missing = ", ".join(ours for ours in wanted.values() if ours not in evaluation.metrics)
        if missing:
            print_problems(
                [Problem(code="tuner_not_measured", params={"names": missing}, notice=True)]
            )
        return evaluation

    def chat(self, messages: str | Sequence[Mapping[str, Any]], **options: Any) -> str:
        """The model's reply to a question, or to a conversation of {"role", "content"} messages.

        The first call loads the model, in a process of its own that `close` ends. options: how
        the answer is drawn (max_new_tokens, temperature, top_p ...), system, seed, stop.
        What a model thinks before it answers is not part of the reply.
        """
        return "".join(self.stream_chat(messages, **options))

    def stream_chat(
        self, messages: str | Sequence[Mapping[str, Any]], **options: Any
    ) -> Iterator[str]:
        """Reply as `chat` does, in pieces as they come; closing the iterator ends the answer."""
        talk, body = chat_request.build_request(messages, options)
        return chat_request.pieces(self._serving(), talk, body)

    def export(self, export_dir: str | Path, **arguments: Any) -> Path:
        """Write the model, its adapters merged, as one folder that needs nothing else; its path."""
        values = self._values("export", {"export_dir": export_dir, **arguments})
        view = follow(launch.start("export", values))
        if view.state is State.STOPPED:
            raise TuneboardError(Problem(code="tuner_export_stopped"))
        return output(str(resolve(values).export_dir))

    def close(self) -> None:
        """End the process that answers in `chat`, which frees its memory. Runs go on."""
        server, self._server = self._server, None
        if server is not None:
            self._end.detach()
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        model, method = (
            self._arguments.get("model_name_or_path"),
            self._arguments.get("finetuning_type"),
        )
        return f"Tuner({model!r}, finetuning_type={method or 'lora'!r}, run={self._run})"

    def _values(self, task: str, arguments: Mapping[str, object]) -> Values:
        """The checked values of a task, from the constructor, the newest training and the call."""
        return _check_values(task, *self._raw(task, arguments))

    def _raw(self, task: str, arguments: Mapping[str, object]) -> tuple[dict[str, object], str]:
        """The raw values of a task, and its stage. Raises UsageError for all but wrong data."""
        own = names.table_arguments(arguments, task)
        self._arguments |= {name: value for name, value in own.items() if name in SECRETS}
        result = {} if task == "train" or own.keys() & MODEL else self._result()
        raw = {**names.arguments_taken_by(task, {**self._arguments, **result}), **own}
        values, problems = parse({n: v for n, v in raw.items() if n not in SETS}, task)
        refusals = errors(problems)
        if refusals:
            raise UsageError(*refusals)
        return raw, resolve(values).stage

    def _result(self) -> dict[str, object]:
        """The arguments with which the result of the newest training is loaded."""
        if self._run is None:
            return {}
        view = run_folder.read(self._run)
        if not view.ended:
            raise RunFolderError(Problem(code="run_going_on", params={"path": str(self._run)}))
        return results.arguments_of(view)

    def _secrets(self) -> Values:
        return {n: str(self._arguments[n]) for n in SECRETS if n in self._arguments}

    def _serving(self) -> ModelServer:
        """The process that answers, when it is ready; a new one where it has failed.

        Raises ModelError if the model cannot be loaded.
        """
        if self._server is not None and self._server.status().state == "failed":
            self.close()
        if self._server is None:
            self._server = ModelServer(self._values("api", {}))
            self._end = weakref.finalize(self, self._server.close)
            try:
                chat_request.await_ready(self._server)
            except BaseException:
                self.close()
                raise
        return self._server

    def _need_run(self) -> Path:
        if self._run is None:
            raise UsageError(Problem(code="tuner_no_run"))
        return self._run


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _check_values(task: str, raw: Mapping[str, object], stage: str) -> Values:
    """Write the data of a task into files and check its values; see backend.model.checks."""
    prepare()
    values, problems = parse(_with_sets(raw, raw, stage), task)
    return check_values(task, values, problems, print_resumption if task == "train" else None)


def _with_sets(
    raw: Mapping[str, object], known: Mapping[str, object] | Values, stage: str
) -> dict[str, object]:
    """The raw values with names of data sets in place of data; `known` has the dataset_dir."""
    place = None if known.get("dataset_dir") is None else str(known["dataset_dir"])
    used: list[str] = [name for name in SETS if raw.get(name) is not None]
    sets = {name: rows.set_names(raw[name], name, place, stage) for name in used}
    return {**raw, **sets}
