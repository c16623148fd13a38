"""Check what scores or teaches before a launch: a reward model, reward functions, a teacher."""

from pathlib import Path
from typing import Final

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import describe_places
from backend.contract.models.model_folder import (
    ADAPTER_CONFIG,
    CONFIG,
    VALUE_HEAD,
    adapter_base,
    adapter_config,
    adapter_problems,
    is_hub_id,
    local,
    model_problems,
)
from backend.contract.registry.dataset_info import names
from backend.contract.system.addresses import is_address
from backend.contract.texts.problems import Params, Problem

REWARD_MODEL: Final = "reward_model"


def is_needed(values: Arguments) -> bool:
    """Whether a run scores answers with a reward model."""
    wanted = names(values.reward_functions)
    rewarded = FIELDS["reward_functions"].active(values.as_mapping(), "train")
    return values.stage == "ppo" or (rewarded and REWARD_MODEL in wanted)


def is_shared(values: Arguments) -> bool:
    """Whether the reward adapter shares the base model with the policy's adapter."""
    return values.reward_model_type == "lora" and is_adapter(values.finetuning_type)


def check_reward_model(values: Arguments) -> list[Problem]:
    """The problems of the reward model of a run. Hub ids pass."""
    model = values.reward_model or ""
    if not is_needed(values) or not model:
        return []
    kind = values.reward_model_type
    if kind == "api":
        return _check_address(model)
    if is_hub_id(model):
        return []
    folder = local(model)
    adapters = names(values.reward_model_adapters) if kind == "full" else []
    problems = [
        each for name in adapters for each in adapter_problems(name, REWARD_MODEL + "_adapters")
    ]
    if kind == "lora" and (folder / CONFIG).is_file():
        return [_problem("reward_is_model", folder)]
    problems += (
        adapter_problems(model, REWARD_MODEL)
        if kind == "lora"
        else model_problems(model, REWARD_MODEL)
    )
    if problems:
        return problems
    last = local(adapters[-1]) if adapters and not is_hub_id(adapters[-1]) else folder
    if not (last / VALUE_HEAD).is_file():
        return [_problem("reward_no_head", last, file=VALUE_HEAD)]
    return check_shared(values, folder) if is_shared(values) else []


def check_shared(values: Arguments, folder: Path) -> list[Problem]:
    """The problems that prevent a reward adapter from sharing the policy's base."""
    own = values.model_name_or_path or ""
    adapters = ([own] if is_adapter_folder(own) else []) + names(values.adapter_name_or_path)
    if adapters if values.create_new_adapter else adapters[:-1]:  # these are merged
        return [_problem("reward_base_merged", folder)]
    base, mine = adapter_base(folder), adapter_base(local(own)) if is_adapter_folder(own) else own
    if _place(base) != _place(mine):
        return [_problem("reward_other_base", folder, base=base, model=mine)]
    # peft loads adapters of one type beside each other only
    method = str(adapter_config(folder).get("peft_type") or "").lower()
    if method != values.finetuning_type:
        wanted = values.finetuning_type
        return [_problem("reward_other_method", folder, found=method, wanted=wanted)]
    return []


def _check_address(address: str) -> list[Problem]:
    if is_address(address):
        return []
    return [Problem(code="reward_not_address", field=REWARD_MODEL, params={"value": address[:200]})]


def is_adapter_folder(name: str) -> bool:
    """Whether a folder holds an adapter and no model."""
    folder = local(name)
    return (folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG).is_file()


def _place(name: str) -> str:
    """A base under one name: a path is made absolute, a hub id stays."""
    return name if is_hub_id(name) else str(local(name).resolve())


def _problem(code: str, folder: Path, **params: str) -> Problem:
    return Problem(code=code, field=REWARD_MODEL, params={"path": str(folder), **params})


def check_functions(values: Arguments) -> list[Problem]:
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


TEACHER: Final = "teacher_model"
SERVER = "teacher_server"


def check_teacher(values: Arguments) -> list[Problem]:
    """The problems of the teacher of a run. Hub ids pass."""
    if values.stage != "distillation":
        return []
    model, address = values.teacher_model or "", values.teacher_server or ""
    problems = [
        each
        for name in names(values.teacher_model_adapters)
        for each in adapter_problems(name, f"{TEACHER}_adapters")
    ]
    if model and not is_hub_id(model):
        judge = adapter_problems if is_adapter_folder(model) else model_problems
        problems += judge(model, TEACHER)
    if address and not is_address(address):
        params = {"value": address[:200]}
        problems.append(Problem(code="teacher_not_address", field=SERVER, params=params))
    return problems
