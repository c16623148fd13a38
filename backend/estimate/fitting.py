"""The nearest settings with which a training fits into the memory that is free.

They are tried in the order of what they cost: a smaller batch with more accumulation, so that a
step stays the same; layers that are computed again; weights of 4 bits; an optimizer that keeps
less; and only then a shorter cutoff length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import check_parsed
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight import requirements
from backend.contract.texts.problems import Problem, errors

CUTOFFS = (8192, 4096, 2048, 1024, 512, 256, 128)  # tokens; less hardly saves memory
OPTIMIZERS = ("adamw_8bit", "adafactor")  # that keep less than AdamW, from the most alike on
PLAIN = ("adamw_torch", "adamw_torch_fused")

Changes = dict[ArgumentName, Value]


@dataclass(frozen=True)
class Fit:
    """Arguments to change, {} where nothing fits, and the bytes that are needed then."""

    changes: Changes
    total: int = 0


class Search:
    """The search for one training. `needs` says how many bytes a training takes, None where that
    cannot be said; `limit` is how many it may take; `longest` is the longest of its rows in tokens,
    before any cut."""

    def __init__(
        self, values: Arguments, needs: Callable[[Arguments], int | None], limit: int, longest: int
    ) -> None:
        self._values, self._needs = values, needs
        self._limit, self._longest = limit, longest
        self._known = {problem.code for problem in _problems(values)}

    def run(self) -> Fit:
        """The nearest settings that fit."""
        others: Changes = {}
        for others in self._levels():
            fit = self._with_largest_batch(others)
            if fit:
                return self._prune(fit)
        for cutoff in CUTOFFS:
            if cutoff < min(self._longest, self._values.cutoff_len):
                fit = self._with_largest_batch({**others, "cutoff_len": cutoff})
                if fit:
                    return self._prune(fit)
        return Fit({})

    def _levels(self) -> Iterator[Changes]:
        """What is changed beside the batch, each time one thing more."""
        changes: Changes = {}
        yield changes
        for name, choices in self._choices():
            for value in choices:
                if self._is_possible({**changes, name: value}):
                    changes = {**changes, name: value}
                    yield changes
                    break

    def _choices(self) -> Iterator[tuple[ArgumentName, tuple[Value, ...]]]:
        values = self._values
        if values.disable_gradient_checkpointing:
            yield "disable_gradient_checkpointing", (False,)
        if is_adapter(values.finetuning_type) and not values.quantization_bit:
            yield "quantization_bit", ("4",)
        if values.optim in PLAIN:
            yield "optim", OPTIMIZERS

    def _with_largest_batch(self, others: Changes) -> Fit | None:
        """The largest batch that fits beside other changes; a step has as many rows as before."""
        batch = self._values.per_device_train_batch_size
        sizes = [size for size in range(batch, 0, -1) if batch % size == 0]
        possible = [
            changes for size in sizes if self._is_possible(changes := self._batch(size, others))
        ]
        if not possible or self._total(possible[-1]) is None:
            return None
        for changes in possible:
            total = self._total(changes)
            if total is not None:
                return Fit(changes, total)
        return None

    def _batch(self, size: int, others: Changes) -> Changes:
        batch = self._values.per_device_train_batch_size
        if size == batch:
            return others
        steps = self._values.gradient_accumulation_steps * batch // size
        change: Changes = {
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": steps,
        }
        return {**change, **others}

    def _prune(self, fit: Fit) -> Fit:
        """Leave out what a later change has made needless."""
        for name in ("disable_gradient_checkpointing", "quantization_bit", "optim"):
            fewer: Changes = {key: each for key, each in fit.changes.items() if key != name}
            if len(fewer) < len(fit.changes) and fewer:
                total = self._total(fewer)
                fit = fit if total is None else Fit(fewer, total)
        return fit

    def _total(self, changes: Changes) -> int | None:
        """Bytes that are needed with changes; None where that is more than there is."""
        total = self._needs(self._values.merge(changes))
        return None if total is None or total > self._limit else total

    def _is_possible(self, changes: Changes) -> bool:
        """Whether the changes bring no problem that was not there before."""
        changed = self._values.merge(changes)
        return {problem.code for problem in _problems(changed)} <= self._known


def _problems(values: Arguments) -> list[Problem]:
    rules = check_parsed(dict(values.as_mapping()), [], "train")
    return errors([*rules, *requirements.check(values)])
