"""Model cards (README.md) of finished runs and of exports, in the form of the Hugging Face Hub.

A card names the base model with its license and link, the data, the arguments, the course of the
losses, and the scores, also as the Hub's metadata (https://huggingface.co/docs/hub/model-cards).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from backend.contract.arguments.arguments import to_yaml
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import saves
from backend.contract.models import card_head, model_folder
from backend.contract.registry import dataset_info
from backend.contract.runs import metrics, run_folder, run_view
from backend.contract.runs.checkpoints import FOLDER
from backend.contract.runs.metrics import Metrics
from backend.contract.system.files import read_json
from backend.contract.texts.problems import TuneboardError
from backend.running import plots

PACKAGES = ("tuneboard", "torch", "transformers", "peft", "datasets", "tokenizers")
POINTS = 10  # rows of the table of losses
SCORED = ("eval_", "predict_", "perplexity")  # how the names of scores begin
PACE = ("_runtime", "_per_second")  # how those of the time of an evaluation end


@dataclass(frozen=True)
class Base:
    """The base model of a result: its name without folders of this machine, and its folder."""

    name: str
    folder: Path

    @cached_property
    def head(self) -> Mapping[str, card_head.Entry]:
        """What the base's own card says of its license and origin."""
        return card_head.read(self.folder)

    @property
    def license(self) -> dict[str, card_head.Entry]:
        """The license in the metadata of the base's own card; empty where that says nothing."""
        return {key: self.head[key] for key in card_head.LICENSE if key in self.head}

    @property
    def link(self) -> str:
        """The page of the model on the Hub, or of the model that its card names; or ""."""
        named = self.head.get(card_head.BASE)
        names = [self.name, *([named] if isinstance(named, str) else [])]
        on_hub = [each for each in names if "/" in each and model_folder.is_hub_id(each)]
        return f"https://huggingface.co/{on_hub[0]}" if on_hub else ""


@dataclass(frozen=True)
class Training:
    """A finished training: its name, arguments, final figures, and the metrics of its steps."""

    name: str
    values: Arguments
    results: Mapping[str, float]
    rows: Sequence[Metrics]

    @classmethod
    def read(cls, folder: Path) -> "Training | None":
        """The training that made this folder, or the one with this checkpoint; None where it is
        not known here."""
        if FOLDER.fullmatch(folder.name):
            folder = folder.parent
        view = run_folder.read(folder)
        if view.task != "train":
            return None
        results = _numbers(read_json(folder / run_folder.RESULTS))
        rows, _ = metrics.read(folder / run_folder.METRICS)
        return cls(folder.name, view.arguments, results, rows)


def write_run_card(
    folder: Path, values: Arguments, results: Mapping[str, float], base: Base
) -> None:
    """Write the card of a finished run into its folder, over what a library put there."""
    rows, _ = metrics.read(folder / run_folder.METRICS)
    training = Training(folder.name, values, results, rows)
    tuned = is_adapter(values.finetuning_type)
    head = {
        "library_name": "peft" if tuned else "transformers",
        "tags": ["tuneboard", values.stage, values.finetuning_type],
    }
    picture = f"![Loss by step]({plots.NAME})" if (folder / plots.NAME).is_file() else ""
    parts = [
        f"{base.name}, fine-tuned with Tuneboard ({values.stage}, {values.finetuning_type}).",
        *_describe_base(base),
        *_describe(training, "##", picture),
        "## Versions",
        "\n".join(f"- {name} {installed}" for name in PACKAGES if (installed := _version(name))),
        "## Use",
        f"```python\n{loading_code('AutoPeftModelForCausalLM' if tuned else '')}\n```",
    ]
    text = _join(folder.name, head, base, [training], [], parts)
    (folder / card_head.NAME).write_text(text, encoding="utf-8")


def write_export_card(
    folder: Path, name: str, base: Base, sources: Sequence[Path], about: str, library: str
) -> None:
    """Write the card of an export named `name` into the folder in which it is built.

    `sources` are the folders of what was exported, the base's and those of adapters; a training
    that made one of them, and evaluations of it, are described. `about` says in Markdown what it is
    and how it is run.
    """
    trainings = [each for source in sources if (each := Training.read(source))]
    scores = [score for source in sources for score in _read_scores(source)]
    parts = [about, *_describe_base(base)]
    for training in trainings:
        parts += [f"## Training {training.name}", *_describe(training, "###", "")]
    if scores:
        rows = [f"| {data} | {key} | {number:.6g} |" for data, key, number in scores]
        parts += ["## Scores", "\n".join(["| data | metric | value |", "|---|---|---|", *rows])]
    head = {"library_name": library, "tags": ["tuneboard"]}
    text = _join(name, head, base, trainings, scores, parts)
    (folder / card_head.NAME).write_text(text, encoding="utf-8")


def public_name(base: str) -> str:
    """The name of a model or file without folders of this machine, since cards are published."""
    return Path(base).name if Path(base).is_absolute() else base


def loading_code(kind: str = "") -> str:
    """Python that loads a folder; `kind` is the class where it is one of peft."""
    library, kind = ("peft", kind) if kind else ("transformers", "AutoModelForCausalLM")
    return (
        f"from {library} import {kind}\nfrom transformers import AutoTokenizer\n\n"
        f'model = {kind}.from_pretrained("<this folder>")\n'
        'tokenizer = AutoTokenizer.from_pretrained("<this folder>")'
    )


def _join(
    name: str,
    head: Mapping[str, Any],
    base: Base,
    trainings: Sequence[Training],
    scores: Sequence[tuple[str, str, float]],
    parts: Sequence[str],
) -> str:
    """The text of a card: the metadata, the title, and the parts."""
    hub_ids = [hub_id for each in trainings for _, hub_id in _list_sets(each.values) if hub_id]
    own = [
        (_name_evaluation(each.values), *pair)
        for each in trainings
        for pair in _pick_scores(each.results)
    ]
    data = ModelCardData(
        base_model=base.name,
        pipeline_tag="text-generation",
        datasets=list(dict.fromkeys(hub_ids)) or None,
        model_name=name,
        eval_results=[_make_result(*score) for score in (*own, *scores)] or None,
        **base.license,
        **head,
    )
    body = "\n\n".join([f"# {name}", *(part for part in parts if part)])
    card = ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n", ignore_metadata_errors=False)
    return str(card)


def _describe_base(base: Base) -> list[str]:
    terms = base.license
    name = card_head.name_license(terms)
    licensed = (
        f"license: {name}" if name else "license: not recorded here; see the model's own page"
    )
    if terms.get("license_link"):
        licensed += f" ({terms['license_link']})"
    link = f"[{base.name}]({base.link})" if base.link else base.name
    return ["## Base model", f"{link}, {licensed}"]


def _describe(training: Training, level: str, picture: str) -> list[str]:
    """Data, arguments, losses and results of a training, under headings of this level."""
    values = training.values
    own = {
        key: public_name(each) if isinstance(each, str) else each
        for key, each in values.as_mapping().items()
    }
    named = [
        f"[{name}](https://huggingface.co/datasets/{hub_id})" if hub_id else name
        for name, hub_id in _list_sets(values)
    ]
    lines = [f"| {key} | {number:.6g} |" for key, number in training.results.items()]
    return [
        f"{level} Data",
        f"- trained on: {', '.join(named)}\n- evaluated on: {_name_evaluation(values)}",
        f"{level} Arguments",
        f"```yaml\n{to_yaml(own, 'train')}```",
        *([f"{level} Losses", picture, _tabulate_losses(training.rows)] if training.rows else []),
        f"{level} Results",
        "\n".join(["| metric | value |", "|---|---|", *lines]),
    ]


def _tabulate_losses(rows: Sequence[Metrics]) -> str:
    """At most POINTS rows of the losses, evenly spread over the steps, with the last one."""
    by_step: dict[int, tuple[float | None, float | None]] = {}
    for row in rows:
        loss, evaluated = by_step.get(row.step, (None, None))
        loss = row.loss if loss is None else loss
        evaluated = row.eval_loss if evaluated is None else evaluated
        if (loss, evaluated) != (None, None):
            by_step[row.step] = (loss, evaluated)
    steps = sorted(by_step)
    count = min(POINTS, len(steps))
    chosen = [steps[(number + 1) * len(steps) // count - 1] for number in range(count)]
    lines = []
    for step in chosen:
        numbers = ("" if each is None else f"{each:.4f}" for each in by_step[step])
        lines.append(f"| {step} | {' | '.join(numbers)} |")
    return "\n".join(["| step | training loss | evaluation loss |", "|---|---|---|", *lines])


def _list_sets(values: Arguments) -> list[tuple[str, str]]:
    """The data sets of a training with their ids on the Hub, "" for local ones."""
    try:
        known = dataset_info.entries(values.dataset_dir)
    except TuneboardError:
        known = {}
    listed = dataset_info.names(values.dataset) or [str(values.tokenized_path)]
    sets = []
    for name in listed:
        entry = known.get(name)
        is_ours = entry is not None and entry.hub == "huggingface"
        sets.append((public_name(name), entry.hub_id if entry and is_ours else ""))
    return sets


def _name_evaluation(values: Arguments) -> str:
    """What the losses of an evaluation were measured on."""
    if values.eval_dataset:
        return ", ".join(public_name(each) for each in dataset_info.names(values.eval_dataset))
    if not values.val_size:
        return "nothing"
    amount = f"{values.val_size:.0%}" if values.val_size < 1 else f"{values.val_size:.0f} rows"
    return f"{amount} of the data, held out"


def _pick_scores(results: Mapping[str, float]) -> list[tuple[str, float]]:
    """The results that are scores, with their names."""
    return [
        (name, number)
        for name, number in results.items()
        if name.startswith(SCORED) and not name.endswith(PACE)
    ]


def _read_scores(folder: Path) -> list[tuple[str, str, float]]:
    """(data, metric, value) of the finished evaluations of the model or adapter in a folder."""
    scores = []
    for run in run_view.folders(saves()):
        row = read_json(run / run_folder.RUN)
        recorded = row.get("arguments")
        if row.get("kind") != "eval" or not isinstance(recorded, dict):
            continue
        values = Arguments.from_known(recorded)
        named = dataset_info.names(values.adapter_name_or_path) or [values.model_name_or_path or ""]
        if model_folder.local(str(named[-1])).resolve() == folder.resolve():
            results = _numbers(read_json(run / run_folder.RESULTS))
            data = _name_evaluation(values)
            scores += [(data, *pair) for pair in _pick_scores(results)]
    return scores


def _make_result(data: str, name: str, number: float) -> EvalResult:
    kind = name.removeprefix("eval_").removeprefix("predict_")
    return EvalResult(
        task_type="text-generation",
        dataset_type=data,
        dataset_name=data,
        metric_type=kind,
        metric_name=name,
        metric_value=number,
    )


def _numbers(content: Mapping[str, object]) -> dict[str, float]:
    return {
        key: float(each)
        for key, each in content.items()
        if isinstance(each, int | float) and math.isfinite(each)
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
