"""Steps of a cleaning, each of which decides which rows to remove, in the order of `build`.

A step takes some rows at a time and returns for each a Removal, or None where the row stays. Rows
that one step removes are not passed to the next.

A person's regular expression can take endless time (backtracking) and endless memory (repeats that
are multiplied out); both are limited, so that neither brings the machine down.
"""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import regex

from backend.cleaning.duplicates import Index, fingerprint, signature
from backend.cleaning.rows import Item, Rows, texts
from backend.contract.texts.problems import DataError, Params, Problem, UsageError

SECONDS = 2.0  # for a text
ROOM = 512 * 1024**2  # bytes that compiling may take
MISTAKES = (regex.error, ValueError, OverflowError, RecursionError, MemoryError)


class Pattern:
    """A regular expression that is searched in all texts of a row."""

    def __init__(self, expression: str, option: str) -> None:
        """option: the name of its command line option. Raises UsageError where it is invalid."""
        self.expression = expression
        self.option = option
        self._compiled = _compile(expression, option)

    def matches(self, item: Item) -> bool:
        """Whether a text of the row matches. Raises DataError after SECONDS for one text."""
        try:
            return any(self._compiled.search(each, timeout=SECONDS) for each in texts(item.row))
        except (TimeoutError, MemoryError):
            params: Params = {"file": item.file, "line": item.line, "seconds": int(SECONDS)}
            problem = Problem(code="clean_slow_pattern", field=self.option, params=params)
            raise DataError(problem) from None


def _compile(expression: str, option: str) -> Any:
    try:
        with _little_memory():
            return regex.compile(expression)
    except MISTAKES as error:
        params = {"pattern": expression[:200], "reason": str(error)[:200] or type(error).__name__}
        problem = Problem(code="clean_bad_pattern", field=option, params=params)
        raise UsageError(problem) from None


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let this process grow by ROOM bytes at most inside the block; more is a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limits = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
    now = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (min([*limits, now + ROOM]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


NEAR = 0.8  # similarity from which on rows are taken for near duplicates
# Reasons for which training finds no answer in a row.
UNANSWERED = {
    "row_empty_answer",
    "row_empty_text",
    "row_without_answer",
    "row_no_last_answer",
    "row_no_messages",
}


@dataclass(frozen=True)
class Removal:
    """The reason for removing a row (text `clean.reason.<reason>`), and its parameters."""

    reason: str
    params: Params


@dataclass(frozen=True)
class CleaningOptions:
    """Options of a cleaning; those that are None, "" or False are off.

    near: similarity (0 to 1); min_answer: characters; min_tokens, max_tokens: of the whole row;
    drop, keep: regular expressions; not_in: another set, whose rows must not stand here.
    """

    tidy: bool = False
    drop: str = ""
    keep: str = ""
    min_answer: int | None = None
    min_tokens: int | None = None
    max_tokens: int | None = None
    not_in: str = ""
    exact: bool = False
    near: float | None = None

    @property
    def nothing(self) -> bool:
        """Whether no step is chosen."""
        return self == CleaningOptions()

    @property
    def by_tokens(self) -> bool:
        """Whether tokens must be counted, for which a model is needed."""
        return self.min_tokens is not None or self.max_tokens is not None

    @property
    def by_columns(self) -> bool:
        """Whether the columns must be such that training can read the rows."""
        return self.by_tokens or self.min_answer is not None


Count = Callable[[Sequence[Item]], list[int | None]]
Verdicts = list[Removal | None]
Step = Callable[[Sequence[Item]], Verdicts]


def build(asked: CleaningOptions, dataset_dir: str, count: Count | None) -> list[Step]:
    """Build the steps that the options ask for; count: counts tokens. Raises UsageError, DataError.

    Duplicates come last, so that of rows that are alike one that passes the other steps stays.
    """
    steps: list[Step] = []
    if asked.drop:
        steps.append(_Matching(Pattern(asked.drop, "drop"), "drop", gone=True))
    if asked.keep:
        steps.append(_Matching(Pattern(asked.keep, "keep"), "keep", gone=False))
    if asked.min_answer is not None:
        steps.append(_ShortAnswers(asked.min_answer))
    if asked.by_tokens:
        assert count is not None
        steps.append(_Lengths(asked.min_tokens, asked.max_tokens, count))
    if asked.not_in:
        steps.append(_Leaks(asked.not_in, dataset_dir, asked.near or NEAR))
    if asked.exact:
        steps.append(_Exact())
    if asked.near is not None:
        steps.append(_Near(asked.near))
    return steps


class _Matching:
    """Removes rows that match an expression (`gone`), or those that do not."""

    def __init__(self, pattern: Pattern, reason: str, *, gone: bool) -> None:
        self._pattern, self._gone = pattern, gone
        self._why = Removal(reason, {"pattern": pattern.expression})

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        return [self._why if self._pattern.matches(item) == self._gone else None for item in items]


class _ShortAnswers:
    """Removes rows whose answer (in a preference either one) or text is empty or short."""

    def __init__(self, least: int) -> None:
        self._least = least

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        return [self._why(_count_characters(item)) for item in items]

    def _why(self, size: int | None) -> Removal | None:
        if size is None or size >= max(1, self._least):
            return None
        if self._least <= 1:
            return Removal("empty", {})
        return Removal("answer", {"characters": size, "least": self._least})


def _count_characters(item: Item) -> int | None:
    """The characters of the shortest answer; None where it is a tool call or cannot be judged."""
    conversation = item.conversation
    if conversation is None:
        return 0 if item.refused in UNANSWERED else None
    if conversation.text:
        return len(conversation.text.strip())
    answers = (
        [conversation.chosen, conversation.rejected]
        if conversation.chosen
        else [conversation.answer]
    )
    written = [each["content"] for each in answers if each and not each.get("tool_calls")]
    return min((len(each.strip()) for each in written), default=None)


class _Lengths:
    """Removes rows with too few or too many tokens; rows that training refuses stay."""

    def __init__(self, least: int | None, most: int | None, count: Count) -> None:
        self._least, self._most, self._count = least, most, count

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        return [self._why(size) for size in self._count(items)]

    def _why(self, size: int | None) -> Removal | None:
        if size is None:
            return None
        if self._least is not None and size < self._least:
            return Removal("few_tokens", {"tokens": size, "limit": self._least})
        if self._most is not None and size > self._most:
            return Removal("many_tokens", {"tokens": size, "limit": self._most})
        return None


class _Exact:
    """Removes rows from which training reads the same as from an earlier one."""

    def __init__(self) -> None:
        self._first: dict[bytes, int] = {}

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        firsts = (self._first.setdefault(fingerprint(item), item.number) for item in items)
        return [
            Removal("exact", {"same": first}) if first != item.number else None
            for item, first in zip(items, firsts, strict=True)
        ]


class _Near:
    """Removes rows that are similar to one that stays; in KTO good and bad answers apart."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._indexes: dict[bool | None, Index] = {}

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        return [self._why(item) for item in items]

    def _why(self, item: Item) -> Removal | None:
        made = signature(item)
        if made is None:
            return None
        label = item.conversation.label if item.conversation else None
        if label not in self._indexes:
            self._indexes[label] = Index(self._threshold)
        index = self._indexes[label]
        same = index.similar(made)
        if same is not None:
            return Removal("near", {"same": same})
        index.add(made, item.number)
        return None


class _Leaks:
    """Removes rows that are in another set, too, exactly or nearly."""

    def __init__(self, other: str, dataset_dir: str, threshold: float) -> None:
        """Index the rows of the other set. Raises DataError."""
        self._other = other
        self._index = Index(threshold)
        for item in Rows(other, dataset_dir).read():
            made = signature(item)
            if made is not None:
                self._index.add(made, item.number)

    def __call__(self, items: Sequence[Item]) -> Verdicts:
        return [self._why(item) for item in items]

    def _why(self, item: Item) -> Removal | None:
        made = signature(item)
        same = None if made is None else self._index.similar(made)
        return None if same is None else Removal("leak", {"same": same, "other": self._other})
