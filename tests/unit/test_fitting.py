"""The search for the nearest settings that fit, with an arithmetic that can be done by hand."""

from typing import Any

import pytest

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.typed import Arguments
from backend.estimate.fitting import Fit, Search

VALUES = {
    "model_name_or_path": "m",
    "dataset": "d",
    "per_device_train_batch_size": 6,
    "gradient_accumulation_steps": 2,
    "cutoff_len": 2048,
}
EAGER = {"disable_gradient_checkpointing": True}
FULL = {"finetuning_type": "full"}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that are there, whatever this machine has."""
    packages = {"bitsandbytes"}
    monkeypatch.setattr(
        "backend.contract.preflight.requirements.is_installed", lambda name: name in packages
    )
    return packages


def needs(values: Arguments) -> int:
    """Weights of 100, or 30 in four bits; what the optimizer keeps; and a part for each row."""
    weights = 30 if values.quantization_bit else 100
    states = {"adamw_torch": 80, "adamw_8bit": 20, "adafactor": 1}[values.optim]
    row = (20 if values.disable_gradient_checkpointing else 10) * values.cutoff_len // 2048
    return weights + states + values.per_device_train_batch_size * row


def search(limit: int, longest: int = 4000, **given: Any) -> Fit:
    parsed, problems = parse({**VALUES, **given}, "train")
    assert not problems
    return Search(resolve(parsed), needs, limit, longest).run()


def batch(size: int) -> dict[str, int]:
    """A smaller batch, with which a step has 12 rows as before."""
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": 12 // size}


EIGHT_BITS = {"optim": "adamw_8bit"}
FOUR_BITS = {"quantization_bit": "4"}


@pytest.mark.parametrize(
    ("limit", "given", "changes"),
    [
        (210, {}, batch(3)),
        (205, {}, batch(2)),
        (220, EAGER, batch(2)),
        (195, EAGER, {**batch(1), "disable_gradient_checkpointing": False}),
        (175, {}, FOUR_BITS),
        (140, {}, {**batch(3), **FOUR_BITS}),
        (175, FULL, {**batch(3), **EIGHT_BITS}),
        (126, FULL, {**batch(1), **EIGHT_BITS, "cutoff_len": 1024}),
        (121, FULL, {**batch(1), **EIGHT_BITS, "cutoff_len": 256}),
        (119, FULL, {}),
    ],
)
def test_the_nearest_settings_that_fit(
    limit: int, given: dict[str, Any], changes: dict[str, Any]
) -> None:
    fit = search(limit, **given)
    assert fit.changes == changes
    parsed, _ = parse({**VALUES, **given, **changes}, "train")
    assert fit.total == (needs(resolve(parsed)) if changes else 0)
    assert fit.total <= limit


def test_a_change_that_a_later_one_makes_needless_is_left_out() -> None:
    """In four bits the layers need not be computed twice."""
    assert search(175, **EAGER, per_device_train_batch_size=1).changes == FOUR_BITS


def test_what_is_not_installed_is_not_proposed(installed: set[str]) -> None:
    installed.clear()
    assert search(175, **FULL).changes == {"optim": "adafactor"}
    assert "quantization_bit" not in search(130).changes


def test_what_the_rules_refuse_is_not_proposed() -> None:
    """4 bits go with no PiSSA."""
    assert "quantization_bit" not in search(175, pissa_init=True).changes


def test_a_cutoff_that_cuts_no_row_is_not_proposed() -> None:
    changes = search(126, longest=700, **FULL).changes
    assert changes["cutoff_len"] == 512


def test_a_training_that_cannot_be_estimated_is_not_proposed() -> None:
    parsed, _ = parse(VALUES, "train")
    assert Search(resolve(parsed), lambda _: None, 1000, 4000).run() == Fit({})
