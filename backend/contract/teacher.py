"""What page and command check of a teacher before a launch: is it there, and has it an address."""

from collections.abc import Mapping

from backend.contract.addresses import is_address
from backend.contract.dataset_info import names
from backend.contract.field import Value
from backend.contract.model_folder import adapter_problems, is_hub_id, model_problems
from backend.contract.problems import Problem
from backend.contract.reward_model import is_adapter_folder

Values = Mapping[str, Value]
FIELD = "teacher_model"
SERVER = "teacher_server"


def check(values: Values) -> list[Problem]:
    """Everything wrong with the teacher that a run names; hub ids pass."""
    if values.get("stage") != "distillation":
        return []
    given, address = str(values.get(FIELD) or ""), str(values.get(SERVER) or "")
    problems = [
        each
        for name in names(values.get(f"{FIELD}_adapters"))
        for each in adapter_problems(name, f"{FIELD}_adapters")
    ]
    if given and not is_hub_id(given):
        judge = adapter_problems if is_adapter_folder(given) else model_problems
        problems += judge(given, FIELD)
    if address and not is_address(address):
        params = {"value": address[:200]}
        problems.append(Problem(code="teacher_not_address", field=SERVER, params=params))
    return problems
