"""Whether a training on a processor computes in bf16, by a short measurement of matrix products.

The products have the sizes of the model. What was measured is kept in saves/.cache/products.json,
by the processor, torch and the number of threads; deleting the file costs only the next second.
"""

import json
import logging
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.runs import position
from backend.contract.system.files import read_json, write_atomic
from backend.contract.texts.problems import Problem
from backend.model import load, tensors
from backend.model.device import device, training_precision
from backend.running.report import Report

NAME: ArgumentName = "bf16"
FASTER = 1.5  # products in bf16 so many times as fast: less is lost again in casts of a whole step
TIME_S = 0.5  # for products to be timed; each kind is computed twice in any case
# The largest sizes that are timed: 8.6 billion operations, a tenth of a second on a slow core.
TOKENS, HIDDEN, INTERMEDIATE = 512, 2048, 4096
# What processors call arithmetic of bf16: those of Intel and AMD, and of ARM.
INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}
CPUINFO = Path("/proc/cpuinfo")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Arguments with bf16 set, and why; `reason` is "" where it was set before."""

    values: Arguments
    reason: str = ""

    def describe(self) -> str:
        """The choice as a line of the log."""
        return f"precision: {'bf16' if self.values.bf16 else 'fp32'}; {self.reason}"


def is_open(values: Arguments) -> bool:
    """Whether nobody has said in which precision a training computes."""
    return values.bf16 is None and not values.fp16 and not values.pure_bf16


def choose(values: Arguments) -> Choice:
    """Set bf16 to what suits the device; a person's own wish stays. Raises ModelError.

    On a processor it is on for a model whose weights are stored in bf16, where products of its
    sizes are FASTER than in float32.
    """
    if not is_open(values):
        return Choice(values)
    if device() != "cpu":
        return Choice(values.replace(bf16=training_precision(values).bf16), f"as {device()} has it")
    reason = _reason_for_float32(values)
    if reason:
        return Choice(values.replace(bf16=False), reason)
    speedup = measure_speedup(values)
    reason = f"matrix products of this model are {speedup:.1f} times as fast in bf16 here"
    return Choice(values.replace(bf16=speedup >= FASTER), reason)


def settle(values: Arguments, checkpoint: Path | None, report: Report) -> Arguments:
    """The choice of a training that is about to load its model, said in its log.

    What the run has computed in up to its `checkpoint` stays. Where bf16 was asked for and is
    slower on this processor, a notice says so.
    """
    if not is_open(values):
        _warn(values, report)
        return values
    if checkpoint is not None:
        chosen = position.choices(checkpoint).get(NAME, None if device() == "cuda" else False)
        if isinstance(chosen, bool):
            logger.info("precision: %s, as before", "bf16" if chosen else "fp32")
            return values.replace(bf16=chosen)
    choice = choose(values)
    logger.info(choice.describe())
    return choice.values


def has_instructions() -> bool:
    """Whether this processor says that it computes bf16 in hardware."""
    known = {name for name, able in torch.cpu.get_capabilities().items() if able is True}
    if not known & INSTRUCTIONS and CPUINFO.is_file():
        known |= set(CPUINFO.read_text(errors="replace").split())
    return bool(known & INSTRUCTIONS)


def measure_speedup(values: Arguments) -> float:
    """How many times as fast matrix products of the model's sizes are in bf16 as in float32.

    The processes of a group, and the page, take what the first of them has measured.
    """
    text = load.read_config(values).get_text_config()
    hidden = min(HIDDEN, text.hidden_size)
    wide = min(INTERMEDIATE, getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    tokens = min(TOKENS, values.per_device_train_batch_size * values.cutoff_len)
    key = f"{_describe_machine()}, {tokens} x {hidden} x {wide}"
    file = home.saves() / ".cache" / "products.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        known: dict[str, Any] = dict(read_json(file))
        if not isinstance(known.get(key), float):
            known[key] = time_products(tokens, hidden, wide)
            write_atomic(file, json.dumps(known, indent=1))
    return float(known[key])


def time_products(tokens: int, hidden: int, wide: int) -> float:
    """The time of [tokens, hidden] x [hidden, wide] and back in float32, by that in bf16."""
    with torch.no_grad(), torch.random.fork_rng():
        states, weights = torch.randn(tokens, hidden), torch.randn(wide, hidden)
        pairs = [(states, weights), (states.bfloat16(), weights.bfloat16())]
        for pair in pairs:  # the first time, kernels are made
            _time_product(*pair)
        times: list[list[float]] = [[], []]
        end = time.perf_counter() + TIME_S
        while len(times[1]) < 2 or time.perf_counter() < end:
            for column, pair in zip(times, pairs, strict=True):
                column.append(_time_product(*pair))
    return statistics.median(times[0]) / statistics.median(times[1])


def _time_product(states: torch.Tensor, weights: torch.Tensor) -> float:
    """Seconds of a product as a layer computes it, and of its gradient for the states."""
    begin = time.perf_counter()
    torch.nn.functional.linear(states, weights) @ weights
    return time.perf_counter() - begin


def _reason_for_float32(values: Arguments) -> str:
    """Why nothing is measured, "" where a measurement decides."""
    if values.deepspeed:
        return "as DeepSpeed computes on a processor"
    if load.is_quantized(values):
        return "the weights are quantized"
    if tensors.dtype_of(tensors.layout(load.base_folder(values))) != torch.bfloat16:
        return "the weights are not stored in bf16"
    return "" if has_instructions() else "this processor has no instructions for bf16"


def _warn(values: Arguments, report: Report) -> None:
    """A notice where bf16 was asked for and makes a training slower."""
    wish = next((name for name in ("pure_bf16", NAME) if values[name]), "")
    if not wish or device() != "cpu" or (has_instructions() and measure_speedup(values) >= 1):
        return
    report.notice(Problem(code="bf16_slower", field=wish, notice=True))


def _describe_machine() -> str:
    """The processor, torch and the number of threads."""
    name = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    return f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads"
