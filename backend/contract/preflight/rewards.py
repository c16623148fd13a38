"""Check the reward functions before a launch, beyond the rules."""

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.base.home import describe_places
from backend.contract.base.problems import Params, Problem
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names


def check(values: Arguments) -> list[Problem]:
    """The problems of weights that are not one for each function, and of a missing Python file."""
    if not FIELDS["reward_functions"].active(values.as_mapping(), "train"):
        return []
    wanted = names(values.reward_functions)
    problems = []
    weights = (values.reward_weights or "").split(",")
    if weights != [""] and len(weights) != len(wanted):
        params: Params = {"given": len(weights), "wanted": len(wanted)}
        problems.append(Problem(code="reward_weights_count", field="reward_weights", params=params))
    file = values.reward_python_file or ""
    if "python" in wanted and file and not local(file).is_file():
        params = {"path": describe_places(file)}
        problems.append(
            Problem(code="reward_python_missing", field="reward_python_file", params=params)
        )
    return problems
