"""The peak memory of a training, by part, from its arguments and the model's config.

The model is built without weights, and one forward and backward pass of it is computed on tensors
without data: what is counted is what autograd really keeps, with the kernels of attention, gradient
checkpointing, adapters and losses that the training uses.
"""

import dataclasses
from dataclasses import dataclass

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.fields.stages import TRL
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight import rewards
from backend.contract.texts.problems import ModelError, Problem, TuneboardError, UsageError
from backend.data.lengths import Lengths
from backend.estimate import (
    losses,
    overhead,
    skeleton,
    step,
    timeline,
    workload,
)
from backend.estimate.timeline import Moment
from backend.estimate.workload import Workload
from backend.model import load, optimizer_states, reference, tensors
from backend.model.device import device, training_precision
from backend.training import scoring

UNKNOWN: tuple[ArgumentName, ...] = ("deepspeed", "use_llama_pro", "use_unsloth", "shift_attn")
PARTS = (
    "weights",
    "quantized",
    "copies",
    "optimizer",
    "gradients",
    "activations",
    "logits",
    "cache",
    "allocator",
    "framework",
)


@dataclass(frozen=True)
class Estimate:
    """The fullest moment of a training.

    parts     bytes by name, in the order of PARTS; a part that takes nothing is left out
    unknown   parts that take memory of which nothing is known here
    phase     when it is: "loading", "drawing" (answers), "learning" or "updating" (the weights)
    learned, all   numbers of weights
    saved, states  bytes of a saved model (of an adapter: its own), and of the optimizer's states
    """

    parts: dict[str, int]
    unknown: tuple[str, ...]
    phase: str
    device: str
    learned: int
    all: int
    saved: int
    states: int
    workload: Workload

    @property
    def total(self) -> int:
        """Bytes of all parts together."""
        return sum(self.parts.values())


def estimate(values: Arguments, lengths: Lengths | None = None) -> Estimate:
    """The peak memory of a training; `lengths` are those of its rows, where they are known.

    Raises UsageError where the arguments ask for what cannot be computed here, and ModelError.
    """
    _require_known(values)
    try:
        return _estimate(values, workload.plan(values, lengths))
    except TuneboardError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        params = {"reason": reason}
        problem = Problem(code="estimate_failed", field="model_name_or_path", params=params)
        raise ModelError(problem) from error


def _estimate(values: Arguments, work: Workload) -> Estimate:
    built = skeleton.build(values)
    weights = skeleton.weigh(built, values)
    learned, count = built.count()
    fixed = {
        "weights": weights.frozen - weights.quantized + weights.learned,
        "quantized": weights.quantized,
        "copies": _copies(values, weights),
        "optimizer": optimizer_states.size(values, weights.shapes, weights.itemsize),
    }
    passes, largest = step.measure(built, values, work)
    moment = timeline.fullest(timeline.unfold(passes, built.names))
    moment = dataclasses.replace(moment, activations=moment.activations + weights.unpacked)
    if values.gradient_accumulation_steps > 1:
        moment = dataclasses.replace(moment, gradients=moment.gradients + weights.learned)
    phases = {
        "loading": {"weights": fixed["weights"], "activations": _file_size(values)},
        "learning": {**fixed, **_parts(moment)},
        "updating": {
            **fixed,
            "gradients": weights.learned,
            "activations": optimizer_states.working_size(weights.shapes, weights.itemsize),
        },
    }
    if work.answer:
        phases["drawing"] = {**fixed, **step.measure_answers(built, values, work)}
    phase, parts = max(phases.items(), key=lambda item: sum(item[1].values()))
    framework = overhead.framework(values.stage)
    parts |= {"allocator": overhead.allocator(largest), "framework": framework or 0}
    return Estimate(
        parts={name: parts[name] for name in PARTS if parts.get(name)},
        unknown=() if framework else ("framework",),
        phase=phase,
        device=device(),
        learned=learned,
        all=count,
        saved=weights.learned + (0 if is_adapter(values.finetuning_type) else weights.frozen),
        states=fixed["optimizer"],
        workload=work,
    )


def _parts(moment: Moment) -> dict[str, int]:
    return {
        "gradients": moment.gradients,
        "activations": moment.activations,
        "logits": moment.logits,
    }


def _copies(values: Arguments, weights: skeleton.Weights) -> int:
    """Bytes of the reference and of the reward model, where they are not the model itself."""
    size = 0
    if losses.has_reference(values):
        if reference.is_other(values):
            size += skeleton.reference_size(values)
        elif not reference.starts_neutral(values):
            size += weights.learned
    apart = values.reward_model_type == "full" or not rewards.is_shared(values)
    if rewards.is_needed(values) and values.reward_model_type != "api" and apart:
        size += skeleton.other_size(scoring.OTHER.loading_arguments(values))
    return size


def _file_size(values: Arguments) -> int:
    """Bytes of the model's files that are in memory while the weights get another dtype."""
    layout = tensors.layout(load.base_folder(values))
    if values.quantization_bit or tensors.dtype_of(layout) != training_precision(values).frozen:
        return sum(each.size for each in layout.values())
    return 0


def _require_known(values: Arguments) -> None:
    """Raises UsageError for what is not estimated: trl's trainers, DeepSpeed, new blocks."""
    if values.stage in TRL:
        raise _unknown("stage", values.stage)
    for name in UNKNOWN:
        if values[name]:
            raise _unknown(name, values[name])


def _unknown(field: str, value: object) -> UsageError:
    params = {"name": field, "value": str(value).lower()}
    return UsageError(Problem(code="estimate_unknown", field=field, params=params))
