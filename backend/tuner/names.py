"""The names that tutorials and other libraries give to arguments, as names of our table.

Names of Hugging Face's TrainingArguments and of LLaMA-Factory are known to the table itself (see
backend.contract.arguments.foreign); here are those that only make sense where values are Python
objects, and those that people write in notebooks.
"""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from backend.contract.arguments import arguments
from backend.contract.arguments.field import FALSE, TRUE, Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.foreign import FOREIGN
from backend.contract.arguments.foreign.spellings import HINTS
from backend.contract.texts.problems import Problem, UsageError

TASKS = ("train", "eval", "chat", "api", "export")
# Other names -> the argument of the table.
SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("model", "model_name", "model_path"), "model_name_or_path"),
    **{f"train_{noun}": "dataset" for noun in ("data", "dataset", "file")},
    **{
        f"{part}_{noun}": "eval_dataset"
        for part in ("eval", "test", "validation")
        for noun in ("data", "dataset", "file")
    },
    **dict.fromkeys(("epochs", "num_epochs"), "num_train_epochs"),
    "lr": "learning_rate",
    **dict.fromkeys(("batch_size", "train_batch_size"), "per_device_train_batch_size"),
    "eval_batch_size": "per_device_eval_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "gradient_clipping": "max_grad_norm",
    "lora_r": "lora_rank",
    "target_modules": "lora_target",
    **dict.fromkeys(("max_length", "max_seq_length"), "cutoff_len"),
}
# Names that mean something else in an evaluation, or in an answer.
SYNONYMS_OF: Mapping[str, Mapping[str, str]] = {
    "eval": {"batch_size": "per_device_eval_batch_size"},
    "api": {"max_length": "max_new_tokens", "max_tokens": "max_new_tokens"},
}
# Switches -> what each of their two values stands for.
SWITCHES: Mapping[str, Mapping[bool, Values]] = {
    "use_lora": {True: {"finetuning_type": "lora"}, False: {"finetuning_type": "full"}},
    "load_in_4bit": {True: {"quantization_bit": 4}, False: {}},
    "load_in_8bit": {True: {"quantization_bit": 8}, False: {}},
}


def table_arguments(call: Mapping[str, object], task: str) -> dict[str, object]:
    """The raw values of a call by the names of the argument table.

    Raises UsageError with every problem at once: an unknown name (with a similar one), two names
    for one argument with different values, a switch that is neither true nor false.
    """
    raw: dict[str, object] = {}
    origin: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in call.items():
        meant = _translate(name, value, task)
        if isinstance(meant, Problem):
            problems.append(meant)
            continue
        for canonical, part in meant.items():
            if canonical in raw and not _same_value(canonical, raw[canonical], part):
                params = {"other": origin[canonical]}
                problems.append(Problem(code="given_twice", field=name, params=params))
            raw[canonical], origin[canonical] = part, name
    if problems:
        raise UsageError(*problems)
    return raw


def arguments_taken_by(task: str, raw: Mapping[str, object]) -> dict[str, object]:
    """Those of the raw values that a task takes."""
    return {
        name: value
        for name, value in raw.items()
        if arguments.takes(arguments.canonical_name(name), task)
    }


def require_known(raw: Mapping[str, object]) -> None:
    """Raises UsageError for each name that no task takes, and each value that is not valid."""
    problems: list[Problem] = []
    for name, value in raw.items():
        takers = [task for task in TASKS if arguments_taken_by(task, {name: value})]
        problems += arguments.parse({name: value}, takers[0] if takers else "train")[1]
    errors = [problem for problem in problems if not problem.notice]
    if errors:
        raise UsageError(*errors)


def _translate(name: str, value: object, task: str) -> dict[str, object] | Problem:
    """The arguments of the table that a name and its value stand for, or the problem with them."""
    if name in SWITCHES:
        on = _switch(value)
        if on is None:
            return Problem(code="not_bool", field=name, params={"value": repr(value)[:80]})
        return {argument: value for argument, value in SWITCHES[name][on].items()}
    row = SYNONYMS_OF.get(task, {}).get(name) or SYNONYMS.get(name)
    canonical = arguments.canonical_name(name)
    if row is None and not ({name, canonical} & (FIELDS.keys() | FOREIGN.keys() | HINTS.keys())):
        near = _near(name, task)
        if near:
            return Problem(code="unknown_argument_near", field=name[:80], params={"near": near})
    return {row or canonical: _plain(value)}


def _near(name: str, task: str) -> str:
    """The name that was probably meant, if only Python has it; "" where it is one of the table's,
    which suggests it by itself."""
    own = [*SYNONYMS, *SYNONYMS_OF.get(task, {}), *SWITCHES]
    table = [field.name for field in arguments.fields_of(task)]
    near = arguments.suggest(name, [*own, *table])
    return near if near in own else ""


def _plain(value: object) -> object:
    """Turn a path into its text, an enum (as transformers has) into its value, and a number of
    numpy into one of Python."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()  # type: ignore[attr-defined]
    return value


def _switch(value: object) -> bool | None:
    word = str(value).strip().lower()
    return word in TRUE if word in TRUE | FALSE else None


def _same_value(argument: str, first: object, second: object) -> bool:
    if argument in FIELDS and FIELDS[argument].kind == "choice":
        return str(first).lower() == str(second).lower()
    return first is second or (
        isinstance(first, Value) and isinstance(second, Value) and first == second
    )
