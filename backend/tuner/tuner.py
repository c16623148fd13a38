"""The object with which a model is tuned, scored, talked to and exported from Python."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backend.cli.terminal import run_of, tell_resumption
from backend.contract.arguments.arguments import parse, resolved
from backend.contract.arguments.command import Command
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.home import output, prepare
from backend.contract.base.problems import (
    Problem,
    RunFolderError,
    TuneboardError,
    UsageError,
    errors,
)
from backend.contract.launching import launch
from backend.contract.preflight.model_server import ModelServer
from backend.contract.runs import resumed_run, run_folder
from backend.contract.runs.run_folder import State
from backend.model.checks import checked, tell
from backend.tuner import answering, names, rows, trained
from backend.tuner.following import follow
from backend.tuner.metrics import figures_of, require_measured
from backend.tuner.results import Evaluation, TrainResult

SETS = ("dataset", "eval_dataset")
MODEL = {"model_name_or_path", "adapter_name_or_path"}


class Tuner:
    """One model on its way: train it, score it, talk to it, export it.

    Every argument of `tuneboard train`, `eval`, `api` and `export` is taken by its name, by the
    names of Hugging Face's TrainingArguments, and by those of backend.tuner.names; what is given
    here holds for all stages, what is given to a method for that call. Work is done by the same
    child processes as that of the command, in run folders in saves/: the page shows it, and it
    goes on where the Python process dies.

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

        Raises UsageError for names that no stage takes, and for values that are wrong.
        """
        first = {"model": model, "finetuning_type": finetuning_type}
        given = {name: value for name, value in first.items() if value is not None}
        self._given = names.rows_of({**given, **arguments}, "train")
        names.require_known({n: v for n, v in self._given.items() if n not in SETS})
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
        raw = names.rows_of(arguments, "train")
        raw = _with_sets(raw, view.arguments, str(view.arguments.get("stage") or "sft"))
        values, problems = resumed_run.arguments_of(view, raw)
        values = checked("train", {**values, **self._secrets()}, problems, tell_resumption)
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
        figures = figures_of(metrics)
        predicts = any(name.startswith("predict_") for name in figures)
        measures = any(name.startswith("eval_") for name in figures)
        fixed = {"do_predict": predicts, "do_eval": measures}
        given = {**_present({"test_data": test_data}), **fixed, **arguments}
        raw, stage = self._raw("eval", given)
        require_measured(figures, stage)
        folder = launch.start("eval", _checked("eval", raw, stage))
        follow(folder)
        evaluation = Evaluation.read(folder, figures)
        missing = ", ".join(ours for ours in figures.values() if ours not in evaluation.metrics)
        if missing:
            tell([Problem(code="tuner_not_measured", params={"names": missing}, notice=True)])
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
        """As `chat`, in pieces as they come; closing the iterator ends the answer."""
        talk, body = answering.request(messages, options)
        return answering.pieces(self._serving(), talk, body)

    def export(self, export_dir: str | Path, **arguments: Any) -> Path:
        """Write the model, its adapters merged, as one folder that needs nothing else; its path."""
        values = self._values("export", {"export_dir": export_dir, **arguments})
        view = follow(launch.start("export", values))
        if view.state is State.STOPPED:
            raise TuneboardError(Problem(code="tuner_export_stopped"))
        return output(str(resolved(values).export_dir))

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
        model, method = self._given.get("model_name_or_path"), self._given.get("finetuning_type")
        return f"Tuner({model!r}, finetuning_type={method or 'lora'!r}, run={self._run})"

    def _values(self, task: str, given: Mapping[str, object]) -> Values:
        """The checked values of a task: what the Tuner was given, the newest training, the call."""
        return _checked(task, *self._raw(task, given))

    def _raw(self, task: str, given: Mapping[str, object]) -> tuple[dict[str, object], str]:
        """The raw values of a task, and its stage. Raises UsageError for all but wrong data."""
        own = names.rows_of(given, task)
        self._given |= {name: value for name, value in own.items() if _is_secret(name)}
        result = {} if task == "train" or own.keys() & MODEL else self._result()
        raw = {**names.known_to(task, {**self._given, **result}), **own}
        values, problems = parse({n: v for n, v in raw.items() if n not in SETS}, task)
        wrong = errors(problems)
        if wrong:
            raise UsageError(*wrong)
        return raw, resolved(values).stage

    def _result(self) -> dict[str, object]:
        """The arguments with which the result of the newest training is loaded."""
        if self._run is None:
            return {}
        view = run_folder.read(self._run)
        if not view.ended:
            raise RunFolderError(Problem(code="run_going_on", params={"path": str(self._run)}))
        return trained.arguments_of(view)

    def _secrets(self) -> Values:
        return {name: str(value) for name, value in self._given.items() if _is_secret(name)}

    def _serving(self) -> ModelServer:
        """The process that answers, once it does; another one where it has gone. Raises ModelError:
        the model is not loaded."""
        if self._server is not None and self._server.status().state == "failed":
            self.close()
        if self._server is None:
            self._server = ModelServer(self._values("api", {}))
            self._end = weakref.finalize(self, self._server.close)
            try:
                answering.await_ready(self._server)
            except BaseException:
                self.close()
                raise
        return self._server

    def _need_run(self) -> Path:
        if self._run is None:
            raise UsageError(Problem(code="tuner_no_run"))
        return self._run


def _present(given: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in given.items() if value is not None}


def _is_secret(name: str) -> bool:
    return name in FIELDS and FIELDS[name].secret


def _checked(task: str, raw: Mapping[str, object], stage: str) -> Values:
    """The values of a task, its data in files; see backend.model.checks."""
    prepare()
    values, problems = parse(_with_sets(raw, raw, stage), task)
    return checked(task, values, problems, tell_resumption if task == "train" else None)


def _with_sets(
    raw: Mapping[str, object], known: Mapping[str, object], stage: str
) -> dict[str, object]:
    """The raw values with the names of data sets in place of data; `known`: all that is given."""
    place = None if known.get("dataset_dir") is None else str(known["dataset_dir"])
    sets = {n: rows.named(raw[n], n, place, stage) for n in SETS if raw.get(n) is not None}
    return {**raw, **sets}
