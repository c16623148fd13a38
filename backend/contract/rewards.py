"""What page and command check of GRPO's rewards before a launch, beyond the rules."""

import math
from collections.abc import Mapping

from backend.contract.dataset_info import names
from backend.contract.field import Value
from backend.contract.fields.grpo import REWARDS
from backend.contract.model_folder import local
from backend.contract.problems import Problem


def check(values: Mapping[str, Value]) -> list[Problem]:
    """Unknown functions, weights that do not fit them, a Python file that is not there."""
    if values.get("stage") != "grpo":
        return []
    wanted = names(values.get("reward_functions"))
    problems = [
        Problem(
            code="not_choice",
            field="reward_functions",
            params={"value": name[:80], "choices": ", ".join(REWARDS)},
        )
        for name in wanted
        if name not in REWARDS
    ]
    problems += _check_weights(str(values.get("reward_weights") or ""), len(wanted))
    file = str(values.get("reward_python_file") or "")
    if "python" in wanted and file and not local(file).is_file():
        params = {"path": str(local(file))}
        problems.append(
            Problem(code="reward_python_missing", field="reward_python_file", params=params)
        )
    return problems


def _check_weights(given: str, wanted: int) -> list[Problem]:
    """Weights are finite numbers, one a function."""
    weights = [part.strip() for part in given.split(",") if part.strip()]
    wrong = next((part for part in weights if not _is_number(part)), None)
    if wrong is not None:
        return [Problem(code="not_number", field="reward_weights", params={"value": wrong[:80]})]
    if weights and len(weights) != wanted:
        params = {"given": len(weights), "wanted": wanted}
        return [Problem(code="reward_weights_count", field="reward_weights", params=params)]
    return []


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
