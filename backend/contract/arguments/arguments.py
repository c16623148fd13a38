"""Values to command line and YAML and back, all checked against the rows.

Everything here collects *all* problems before it complains. A value is written iff it differs from
its row's default, and iff its `when` holds.
"""

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping, Sequence

from backend.contract.arguments.field import Field, FieldError, Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.generation import DRAWN
from backend.contract.arguments.foreign import ALIASES, CHOICES, FOREIGN
from backend.contract.arguments.foreign.spellings import CHOICE_HINTS, HINTS
from backend.contract.arguments.rules import broken
from backend.contract.arguments.typed import Arguments
from backend.contract.base.files import Located, read_mapping, write_mapping
from backend.contract.base.problems import Params, Problem

MAX_PROBLEMS = 100


def fields_of(task: str) -> list[Field]:
    """The rows that a subcommand takes, in the order of the table."""
    return [row for row in FIELDS.values() if task in row.tasks]


def defaults(task: str) -> Values:
    """Each argument of a subcommand at its default."""
    return {row.name: row.default_in(task) for row in fields_of(task)}


def active(values: Values, task: str) -> list[Field]:
    """The rows that apply, given the values of the others (missing ones count as default)."""
    whole = {**defaults(task), **values}
    return [row for row in fields_of(task) if row.active(whole, task)]


def canonical(values: Values, task: str) -> Values:
    """Every argument of the subcommand; what does not apply is at its default."""
    rows = {row.name for row in active(values, task)}
    return {
        name: values[name] if name in rows and name in values else default
        for name, default in defaults(task).items()
    }


def changed(values: Values, task: str) -> Values:
    """Only what applies and differs from the default: what is written to a command or file."""
    start = defaults(task)
    return {name: value for name, value in canonical(values, task).items() if value != start[name]}


def parse(raw: Mapping[str, object], task: str) -> tuple[Values, list[Problem]]:
    """All values of a subcommand from raw ones (text or YAML types), and the problems found.

    Evaluate gives the likeliest answers, unless do_sample or one of the sampling numbers is given.
    It ends at MAX_PROBLEMS: such a file is something else, and each suggestion takes time.
    """
    values = dict(defaults(task))
    if task == "eval" and DRAWN & {canonical_name(given) for given in raw}:
        values["do_sample"] = True
    problems: list[Problem] = []
    names: dict[str, str] = {}  # argument -> the name that it was given by
    for given, value in raw.items():
        if len(problems) == MAX_PROBLEMS:
            break
        meant, problem = _meaning(given, value, task)
        twice = [name for name, part in meant.items() if name in names and values[name] != part]
        if twice and _in_one_file(raw, given, names[twice[0]]):
            params: Params = {"other": names[twice[0]]}
            problem = Problem(code="given_twice", field=given, params=params)
        if problem:
            at = raw.at(given) if isinstance(raw, Located) else {}
            problems.append(dataclasses.replace(problem, params={**problem.params, **at}))
        values |= meant
        names |= dict.fromkeys(meant, given)
    return values, problems


def canonical_name(given: str) -> str:
    """The name of an argument by another spelling of it."""
    name = given.replace("-", "_")
    return ALIASES.get(name, name)


@functools.cache
def takes(name: str, task: str) -> bool:
    """Whether a subcommand takes an argument of this (canonical) name, if only to refuse it."""
    taken = {row.name for row in fields_of(task)}
    foreign = FOREIGN.get(name)
    targets = {target for part in foreign.becomes.values() for target in part} if foreign else set()
    return name in taken or (foreign is not None and targets <= taken)


def _meaning(given: str, value: object, task: str) -> tuple[Values, Problem | None]:
    """Values of rows that a given value stands for, and what is wrong with it or worth saying."""
    name = canonical_name(given)
    if name == "warmup_steps" and _is_share(value):  # as transformers 5 has it
        name = "warmup_ratio"
    try:
        if isinstance(value, str):
            value = _choice(name, value)
        if name not in FOREIGN:
            return _of_row(name, value, task)
        if takes(name, task):
            return FOREIGN[name].answer(value)
    except FieldError as error:
        return {}, error.problem
    return {}, _other_task(name, task)


def _of_row(name: str, value: object, task: str) -> tuple[Values, Problem | None]:
    """As _meaning, of a name that is no foreign one. Raises FieldError."""
    row = _row(name, task)
    if task in row.tasks:
        return {name: row.parse(value)}, None
    if value is None:
        return {}, None
    if task == "train" and row.group == "generation":  # training files of others hold them
        row.parse(value)
        return {}, dataclasses.replace(
            _other_task(name, task), code="no_effect_answers", notice=True
        )
    raise FieldError(_other_task(name, task))


def _choice(name: str, value: str) -> str:
    """A choice by the row's own spelling. Raises FieldError with what to write where it is the
    name of something that several arguments make."""
    spelling = (name, value.strip().lower())
    if spelling in CHOICE_HINTS:
        params: Params = {"value": value.strip()[:80], "near": CHOICE_HINTS[spelling]}
        raise FieldError(Problem(code="choice_near", field=name, params=params))
    return CHOICES.get(spelling, value)


def _is_share(value: object) -> bool:
    try:
        return 0 < float(str(value)) < 1
    except ValueError:
        return False


def _in_one_file(raw: Mapping[str, object], *names: str) -> bool:
    """Whether all names stand in the file that was read, and none was given after it."""
    return isinstance(raw, Located) and all(name in raw.lines for name in names)


def validate(raw: Mapping[str, object], task: str) -> list[Problem]:
    """Every problem of a set of values: each field by its row, then the rules across fields."""
    values, problems = parse(raw, task)
    return judged(values, problems, task)


def judged(values: Values, problems: Sequence[Problem], task: str) -> list[Problem]:
    """The problems of parsing, and those of the rules where parsing found none.

    A wrong value is a problem where its argument does not apply, too: it would be one as soon as
    the argument does. Where the file of arguments could not be read, that is all.
    """
    if any("file" in problem.params and not problem.field for problem in problems):
        return list(problems)
    wrong = {problem.field for problem in problems if not problem.notice}
    return [*problems, *(one for one in broken(values, task) if one.field not in wrong)]


def ignored(values: Values, task: str) -> list[Problem]:
    """A notice for each value that was given and does not apply, with what it would need."""
    applying = {row.name for row in active(values, task)}
    start = defaults(task)
    return [
        Problem(
            code="does_not_apply", field=row.name, params={"needs": needs(row, task)}, notice=True
        )
        for row in fields_of(task)
        if row.name not in applying and values.get(row.name, start[row.name]) != start[row.name]
    ]


def needs(row: Field, task: str) -> str:
    """What a row asks for in a subcommand, as written on a command line."""
    return ", ".join(
        f"{name}={'|'.join(map(format_value, any_of))}" for name, any_of in row.conditions(task)
    )


def to_argv(values: Values, task: str) -> list[str]:
    """`--name value` pairs of what differs from the defaults; secrets never.

    A value that begins with a dash is written `--name=value`, so that it cannot read as an option.
    """
    argv: list[str] = []
    for name, value in changed(values, task).items():
        if FIELDS[name].secret:
            continue
        text = format_value(value)
        argv += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return argv


def format_value(value: Value) -> str:
    """A value as one word of a command line; floats keep every digit."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else repr(value) if isinstance(value, float) else str(value)


def from_argv(argv: Sequence[str], task: str) -> tuple[Values, list[Problem]]:
    """Values from `[file.yaml] --name value | --name=value | name=value | --flag`; all problems."""
    words = list(argv)
    raw = Located()
    problems: list[Problem] = []
    if words and _is_file(words[0]):
        raw, problems = read_mapping(words.pop(0))
    given, more = pairs(words)
    for name, value in given.items():
        raw.pop(name, None)  # what comes later goes over other names of the same argument, too
        raw.lines.pop(name, None)
        raw[name] = value
    values, wrong = parse(raw, task)
    return values, problems + more + wrong


def only_evaluates(values: Values) -> bool:
    """Whether `tuneboard train` with these values is to evaluate: do_predict without do_train, or
    do_train switched off."""
    arguments = resolved(values)
    if arguments.do_train is None:
        return arguments.do_predict
    return not arguments.do_train and (arguments.do_predict or arguments.do_eval)


def as_evaluation(words: Sequence[str]) -> tuple[Values, list[Problem]]:
    """The words of a `tuneboard train` that only evaluates as values of `tuneboard eval`.

    What belongs to training alone is a notice where it says anything but the default.
    """
    given, wrong = from_argv(words, "train")
    values, problems = from_argv(words, "eval")
    told = []
    for problem in problems:
        if problem.code != "other_task" or not takes(problem.field, "train"):
            told.append(problem)
        elif problem.field in FOREIGN or given[problem.field] != FIELDS[problem.field].default:
            told.append(dataclasses.replace(problem, code="only_training", notice=True))
    told += [p for p in wrong if takes(p.field, "train") and not takes(p.field, "eval")]
    sets = resolved(values).eval_dataset or resolved(given).dataset
    return {**values, "eval_dataset": sets}, told


def _is_file(word: str) -> bool:
    name, equals, _ = word.partition("=")
    pair = equals and name.replace("-", "_").isidentifier()
    return not pair and not word.startswith("-") and word.endswith((".yaml", ".yml", ".json"))


def pairs(words: list[str]) -> tuple[dict[str, object], list[Problem]]:
    """Raw values by name from words of a command line; each word that is none is a problem."""
    raw: dict[str, object] = {}
    problems: list[Problem] = []
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if equals and name:
            raw[name.replace("-", "_")] = value
        elif not name or not word.startswith("--"):
            problems.append(Problem(code="stray_word", params={"word": word[:80]}))
        elif words and not words[0].startswith("--"):
            raw[name.replace("-", "_")] = words.pop(0)
        else:
            raw[name.replace("-", "_")] = "true"
    return raw, problems


def to_yaml(values: Values, task: str) -> str:
    """What differs from the defaults, as YAML that `tuneboard <task>` accepts; no secrets."""
    return write_mapping(
        {name: value for name, value in changed(values, task).items() if not FIELDS[name].secret}
    )


def from_yaml(path: str, task: str) -> tuple[Values, list[Problem]]:
    """Values from a YAML or JSON file; problems name the line."""
    content, problems = read_mapping(path)
    values, wrong = parse(content, task)
    return values, problems + wrong


def resolved(values: Values) -> Arguments:
    """Typed arguments of values that were checked, with what follows from others filled in:
    lora_alpha is twice lora_rank when unset.

    Raises TypeError where a name is no argument's.
    """
    arguments = Arguments.of(values)
    if "lora_alpha" in values and alpha_follows(values):
        return arguments.replace(lora_alpha=2 * arguments.lora_rank)
    return arguments


def alpha_follows(values: Values) -> bool:
    """Whether lora_alpha is unset, so that it follows from lora_rank."""
    return values.get("lora_alpha") is None


def _row(name: str, task: str) -> Field:
    """The row of an argument; FieldError where there is none, with a near name."""
    if name in FIELDS:
        return FIELDS[name]
    near = _hint(name, task)
    params: Params = {"near": near} if near else {"task": task}
    code = "unknown_argument_near" if near else "unknown_argument"
    raise FieldError(Problem(code=code, field=name[:80], params=params))


def _hint(name: str, task: str) -> str:
    """What was probably meant, or "": by other programs' names, else by the spelling."""
    if name in HINTS:
        return " / ".join(one for one in HINTS[name] if takes(one.partition("=")[0], task))
    return canonical_name(suggest(name, _welcome(task)))


def _other_task(name: str, task: str) -> Problem:
    tasks = FIELDS[name].tasks if name in FIELDS else ("train",)
    params: Params = {"task": task, "tasks": ", ".join(tasks)}
    return Problem(code="other_task", field=name, params=params)


@functools.cache
def _welcome(task: str) -> tuple[str, ...]:
    """Names that a subcommand takes with any value: what a hint may lead to."""
    names = [name for name in FOREIGN if FOREIGN[name].accepts_all and takes(name, task)]
    others = [name for name in ALIASES if takes(ALIASES[name], task)]
    return (*(row.name for row in fields_of(task)), *names, *others)


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or ""."""
    return next(iter(difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.7)), "")
