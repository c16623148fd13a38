"""Check the teacher of a distillation before a launch: its folder, or its address."""

from backend.contract.arguments.typed import Arguments
from backend.contract.base.addresses import is_address
from backend.contract.base.problems import Problem
from backend.contract.models.model_folder import adapter_problems, is_hub_id, model_problems
from backend.contract.preflight.reward_model import is_adapter_folder
from backend.contract.registry.dataset_info import names

FIELD = "teacher_model"
SERVER = "teacher_server"


def check(values: Arguments) -> list[Problem]:
    """The problems of the teacher of a run. Hub ids pass."""
    if values.stage != "distillation":
        return []
    model, address = values.teacher_model or "", values.teacher_server or ""
    problems = [
        each
        for name in names(values.teacher_model_adapters)
        for each in adapter_problems(name, f"{FIELD}_adapters")
    ]
    if model and not is_hub_id(model):
        judge = adapter_problems if is_adapter_folder(model) else model_problems
        problems += judge(model, FIELD)
    if address and not is_address(address):
        params = {"value": address[:200]}
        problems.append(Problem(code="teacher_not_address", field=SERVER, params=params))
    return problems
