"""Convert values to a command line or YAML and back, and check them against the table of fields.

A check collects *all* problems before it reports them. A value is written only where it differs
from the default of its field and the field's `when` holds.
"""

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from backend.contract.arguments.field import Field, FieldError, Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.serving import DRAWN
from backend.contract.arguments.foreign import ALIASES, CHOICES, FOREIGN
from backend.contract.arguments.foreign.spellings import CHOICE_HINTS, HINTS
from backend.contract.arguments.rules import check_rules
from backend.contract.arguments.typed import Arguments
from backend.contract.system.files import Located, read_mapping, write_mapping
from backend.contract.texts.problems import Params, Problem

MAX_PROBLEMS = 100
Read = Callable[[str], tuple[Values, list[Problem]]]  # arguments as those of a subcommand


def fields_of(task: str) -> list[Field]:
    """The fields that a subcommand takes, in the order of the table."""
    return [field for field in FIELDS.values() if task in field.tasks]


def defaults(task: str) -> Values:
    """Each argument of a subcommand at its default."""
    return {field.name: field.default_in(task) for field in fields_of(task)}


def active_fields(values: Values, task: str) -> list[Field]:
    """The fields that apply, given the other values. A missing value counts as the default."""
    whole = {**defaults(task), **values}
    return [field for field in fields_of(task) if field.active(whole, task)]


def canonicalize(values: Values, task: str) -> Values:
    """Every argument of the subcommand, with those that do not apply put at their defaults."""
    active_names = {field.name for field in active_fields(values, task)}
    return {
        name: values[name] if name in active_names and name in values else default
        for name, default in defaults(task).items()
    }


def drop_defaults(values: Values, task: str) -> Values:
    """Only the values that apply and differ from the default: these go to a command or file."""
    start = defaults(task)
    return {
        name: value for name, value in canonicalize(values, task).items() if value != start[name]
    }


def parse(raw: Mapping[str, object] | Values, task: str) -> tuple[Values, list[Problem]]:
    """All values of a subcommand from raw ones (text or YAML types), and the problems of these.

    `eval` takes the likeliest answers unless do_sample or one of the sampling numbers is set. The
    search ends at MAX_PROBLEMS: a file with more is no file of arguments, and each suggestion of a
    near name takes time.
    """
    values = dict(defaults(task))
    if task == "eval" and DRAWN & {canonical_name(name) for name in raw}:
        values["do_sample"] = True
    problems: list[Problem] = []
    names: dict[str, str] = {}  # argument -> the name that it was given by
    for name, value in raw.items():
        if len(problems) == MAX_PROBLEMS:
            break
        parsed, problem = _interpret(name, value, task)
        twice = [name for name, part in parsed.items() if name in names and values[name] != part]
        if twice and _in_one_file(raw, name, names[twice[0]]):
            params: Params = {"other": names[twice[0]]}
            problem = Problem(code="given_twice", field=name, params=params)
        if problem:
            at = raw.at(name) if isinstance(raw, Located) else {}
            problems.append(dataclasses.replace(problem, params={**problem.params, **at}))
        values |= parsed
        names |= dict.fromkeys(parsed, name)
    return values, problems


def canonical_name(spelling: str) -> str:
    """The name of the argument that a spelling stands for: dashes and aliases are replaced."""
    underscored = spelling.replace("-", "_")
    return ALIASES.get(underscored, underscored)


@functools.cache
def takes(name: str, task: str) -> bool:
    """Whether a subcommand takes an argument of this (canonical) name, if only to refuse it."""
    own_names = {field.name for field in fields_of(task)}
    foreign = FOREIGN.get(name)
    targets = {target for part in foreign.becomes.values() for target in part} if foreign else set()
    return name in own_names or (foreign is not None and targets <= own_names)


def _interpret(spelling: str, value: object, task: str) -> tuple[Values, Problem | None]:
    """The values that one spelling and value stand for, and the problem or notice about it."""
    name = canonical_name(spelling)
    if name == "warmup_steps" and _is_share(value):  # as transformers 5 has it
        name = "warmup_ratio"
    try:
        if isinstance(value, str):
            value = _choice(name, value)
        if name not in FOREIGN:
            return _parse_field(name, value, task)
        if takes(name, task):
            return FOREIGN[name].answer(value)
    except FieldError as error:
        return {}, error.problem
    return {}, _other_task(name, task)


def _parse_field(name: str, value: object, task: str) -> tuple[Values, Problem | None]:
    """As `_interpret`, for the name of one of our own fields. Raises FieldError."""
    field = _field(name, task)
    if task in field.tasks:
        return {field.name: field.parse(value)}, None
    if value is None:
        return {}, None
    if task == "train" and field.group == "generation":  # training files of others hold them
        field.parse(value)
        return {}, dataclasses.replace(
            _other_task(name, task), code="no_effect_answers", notice=True
        )
    raise FieldError(_other_task(name, task))


def _choice(name: str, value: str) -> str:
    """A choice in the spelling of its field. Raises FieldError, with what to write instead, for a
    name that stands for several arguments (such as qlora)."""
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


def _in_one_file(raw: object, *names: str) -> bool:
    """Whether all names stand in the file that was read, and none was added after it."""
    return isinstance(raw, Located) and all(name in raw.lines for name in names)


def validate(raw: Mapping[str, object], task: str) -> list[Problem]:
    """Every problem of a set of raw values: of each field, then of the rules across fields."""
    values, problems = parse(raw, task)
    return check_parsed(values, problems, task)


def check_parsed(values: Values, problems: Sequence[Problem], task: str) -> list[Problem]:
    """The problems of parsing, and those of the rules for fields that were parsed well.

    A wrong value is a problem even where its argument does not apply, because it becomes one as
    soon as the argument does. Where the file of arguments could not be read, no rule is checked.
    """
    if any("file" in problem.params and not problem.field for problem in problems):
        return list(problems)
    fields_in_error = {problem.field for problem in problems if not problem.notice}
    return [
        *problems,
        *(problem for problem in check_rules(values, task) if problem.field not in fields_in_error),
    ]


def report_ignored(values: Values, task: str) -> list[Problem]:
    """A notice for each value that was set and does not apply, with the conditions it needs."""
    active_names = {field.name for field in active_fields(values, task)}
    start = defaults(task)
    return [
        Problem(
            code="does_not_apply",
            field=field.name,
            params={"needs": needs(field, task)},
            notice=True,
        )
        for field in fields_of(task)
        if field.name not in active_names
        and values.get(field.name, start[field.name]) != start[field.name]
    ]


def needs(field: Field, task: str) -> str:
    """The conditions of a field in a subcommand, as written on a command line."""
    return ", ".join(
        f"{name}={'|'.join(map(format_value, any_of))}" for name, any_of in field.conditions(task)
    )


def to_argv(values: Values, task: str) -> list[str]:
    """`--name value` pairs of what differs from the defaults, without secrets.

    A value that begins with a dash is written `--name=value`, so that it cannot read as an option.
    """
    argv: list[str] = []
    for name, value in drop_defaults(values, task).items():
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
    """Values and problems of `[file.yaml] --name value | --name=value | name=value | --flag`."""
    words = list(argv)
    raw = Located()
    problems: list[Problem] = []
    if words and _is_file(words[0]):
        raw, problems = read_mapping(words.pop(0))
    options, stray = parse_pairs(words)
    for name, value in options.items():
        raw.pop(name, None)  # a later word also replaces other spellings of its argument
        raw.lines.pop(name, None)
        raw[name] = value
    values, more = parse(raw, task)
    return values, problems + stray + more


def only_evaluates(values: Values) -> bool:
    """Whether `tuneboard train` with these values only evaluates: do_predict is on without
    do_train, or do_train is off."""
    arguments = resolve(values)
    if arguments.do_train is None:
        return arguments.do_predict
    return not arguments.do_train and (arguments.do_predict or arguments.do_eval)


def parse_task(task: str, read: Read) -> tuple[str, Values, list[Problem]]:
    """The subcommand that is meant (eval in place of a train that only evaluates), its values and
    the problems of these; `read` parses what was written as a subcommand."""
    values, problems = read(task)
    if task != "train" or not only_evaluates(values):
        return task, values, problems
    return "eval", *as_evaluation(read)


def as_evaluation(read: Read) -> tuple[Values, list[Problem]]:
    """A `tuneboard train` that only evaluates, as values of `tuneboard eval`.

    An argument of training alone becomes a notice where its value is not the default.
    """
    training, training_problems = read("train")
    values, problems = read("eval")
    unchanged = {name for name, value in training.items() if value == FIELDS[name].default}
    reported = []
    for problem in problems:
        if problem.code != "other_task" or not takes(problem.field, "train"):
            reported.append(problem)
        elif problem.field in FOREIGN or problem.field not in unchanged:
            reported.append(dataclasses.replace(problem, code="only_training", notice=True))
    reported += [
        p for p in training_problems if takes(p.field, "train") and not takes(p.field, "eval")
    ]
    sets = resolve(values).eval_dataset or resolve(training).dataset
    return {**values, "eval_dataset": sets}, reported


def _is_file(word: str) -> bool:
    name, equals, _ = word.partition("=")
    pair = equals and name.replace("-", "_").isidentifier()
    return not pair and not word.startswith("-") and word.endswith((".yaml", ".yml", ".json"))


def parse_pairs(words: list[str]) -> tuple[dict[str, object], list[Problem]]:
    """Raw values by name from words of a command line, and a problem for each stray word."""
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
    """What differs from the defaults as YAML that `tuneboard <task>` accepts, without secrets."""
    return write_mapping(
        {
            name: value
            for name, value in drop_defaults(values, task).items()
            if not FIELDS[name].secret
        }
    )


def from_yaml(path: str, task: str) -> tuple[Values, list[Problem]]:
    """Values from a YAML or JSON file, and its problems with their lines."""
    content, problems = read_mapping(path)
    values, more = parse(content, task)
    return values, problems + more


def resolve(values: Values) -> Arguments:
    """Typed arguments from checked values. An unset lora_alpha becomes twice lora_rank.

    Raises TypeError where a name is not that of an argument.
    """
    arguments = Arguments.of(values)
    if alpha_follows(values):
        return arguments.replace(lora_alpha=2 * arguments.lora_rank)
    return arguments


def alpha_follows(values: Values) -> bool:
    """Whether lora_alpha is there and unset, so that it follows from lora_rank."""
    return "lora_alpha" in values and values["lora_alpha"] is None


def _field(name: str, task: str) -> Field:
    """The field of an argument. Raises FieldError, with a near name, where there is none."""
    if name in FIELDS:
        return FIELDS[name]
    near = _hint(name, task)
    params: Params = {"near": near} if near else {"task": task}
    code = "unknown_argument_near" if near else "unknown_argument"
    raise FieldError(Problem(code=code, field=name[:80], params=params))


def _hint(name: str, task: str) -> str:
    """The name that was probably meant, by other programs' names, else by the spelling; or ""."""
    if name in HINTS:
        return " / ".join(hint for hint in HINTS[name] if takes(hint.partition("=")[0], task))
    return canonical_name(suggest(name, _known_names(task)))


def _other_task(name: str, task: str) -> Problem:
    tasks = FIELDS[name].tasks if name in FIELDS else ("train",)
    params: Params = {"task": task, "tasks": ", ".join(tasks)}
    return Problem(code="other_task", field=name, params=params)


@functools.cache
def _known_names(task: str) -> tuple[str, ...]:
    """Names that a subcommand takes with any value. Only these are suggested."""
    names = [name for name in FOREIGN if FOREIGN[name].accepts_all and takes(name, task)]
    others = [name for name in ALIASES if takes(ALIASES[name], task)]
    return (*(field.name for field in fields_of(task)), *names, *others)


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or ""."""
    return next(iter(difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.7)), "")
