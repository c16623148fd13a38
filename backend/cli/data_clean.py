"""`tuneboard data clean` and `split`: new sets from a registered one, with a report."""

import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from backend.cleaning.output import Report
from backend.cleaning.run import Job, clean, split
from backend.cleaning.steps import CleaningOptions, Count
from backend.cli.command_words import say_json
from backend.contract.arguments.arguments import from_argv, resolve
from backend.contract.preflight import requirements
from backend.contract.registry.dataset_info import SUFFIXES, kind
from backend.contract.runs import run_names
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem, UsageError, errors
from backend.contract.texts.terminal_text import say


def clean_set(options: Namespace) -> int:
    """`clean NAME --into NEW [steps]`: 0, or 2 where no step is chosen. Raises TuneboardError."""
    cleaning = CleaningOptions(
        **{name: getattr(options, name) for name in CleaningOptions.__dataclass_fields__}
    )
    counter = partial(_counter, options) if cleaning.by_tokens else None
    if options.more and counter is None:
        raise _usage_error("clean", t("data.clean.unknown", words=" ".join(options.more)[:200]))
    _check_options(cleaning)
    with _exit_on_signals():
        report = clean(_job(options), options.into, cleaning, counter)
    _print_reports([report], options)
    return 0


def split_set(options: Namespace) -> int:
    """`split NAME [--ratio 0.1] [--seed 42] [--names a,b]`. Raises DataError, UsageError."""
    base = _base_name(options.name)
    names = (options.names or f"{base}_train,{base}_test").split(",")
    if len(names) != 2:
        raise _usage_error("split", t("data.split.names"))
    if not 0 < options.ratio < 1:
        raise _usage_error("split", t("data.split.ratio"))
    first, second = (name.strip() for name in names)
    with _exit_on_signals():
        reports = split(_job(options), (first, second), options.ratio, options.seed)
    _print_reports(list(reports), options)
    return 0


def _base_name(name: str) -> str:
    """What new names are made of: the set's name, of a file its own without endings."""
    last = Path(name).name
    return last.split(".")[0] if kind(last) in SUFFIXES else last


def _check_options(cleaning: CleaningOptions) -> None:
    """Raises UsageError where no step is chosen, and for numbers that make no sense."""
    if cleaning.nothing:
        raise _usage_error("clean", t("data.clean.no_step"))
    low, high = cleaning.min_tokens, cleaning.max_tokens
    if cleaning.near is not None and not 0 < cleaning.near <= 1:
        raise _usage_error("clean", t("data.clean.near"))
    if min(each for each in (low, high, cleaning.min_answer, 0) if each is not None) < 0:
        raise _usage_error("clean", t("data.clean.negative"))
    if low is not None and high is not None and low > high:
        raise _usage_error("clean", t("data.clean.tokens"))


def _counter(options: Namespace, stage: str) -> Count:
    """What counts the tokens of rows, from further arguments of train. Raises as these do."""
    words = ["--stage", stage, "--dataset", options.name, "--dataset_dir", options.dataset_dir]
    values, problems = from_argv([*words, *options.more], "train")
    if errors(problems):
        raise UsageError(*errors(problems))
    values, _ = run_names.replace_names(values)
    arguments = resolve(values)
    if not arguments.model_name_or_path:
        raise UsageError(Problem(code="model_required", field="model_name_or_path"))
    requirements.require_worker()
    from backend.cleaning.lengths import Counter

    return Counter(arguments)


def _job(options: Namespace) -> Job:
    shown = _print_progress if sys.stderr.isatty() and not options.json else None
    progress = _print_numbers if options.progress else shown
    return Job(options.name, options.dataset_dir, options.overwrite, progress)


def _print_reports(reports: list[Report], options: Namespace) -> None:
    if options.json:
        contents = [report.to_json() for report in reports]
        say_json(contents[0] if len(contents) == 1 else contents)
        return
    for report in reports:
        for line in report.words():
            say(line)


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Within the block, SIGTERM and Ctrl-C raise SystemExit, so that part files are removed."""
    before = {each: signal.signal(each, _exit) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _print_progress(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done:,} / {f'{total:,}' if total else '?'}")
    sys.stderr.write("\n" if done == total else "")
    sys.stderr.flush()


def _print_numbers(done: int, total: int) -> None:
    sys.stderr.write(f"{done} {total}\n")
    sys.stderr.flush()


def _usage_error(command: str, reason: str) -> UsageError:
    params = {"command": f"tuneboard data {command}", "reason": reason}
    return UsageError(Problem(code="command_usage", params=params))
