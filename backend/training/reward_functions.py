"""Rewards for answers: small named functions, and a Python file of the person's own.

Each named function is pure: (prompt, completion, reference) -> a number from 0 to 1. The prompt is
the last question as text, the completion the model's answer, the reference the answer that the
data has ("" where it has none).
"""

import json
import math
import traceback
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from numbers import Real
from pathlib import Path
from typing import Any

import regex
import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.contract.base.problems import Problem, UsageError
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names

Texts = Sequence[str]
One = Callable[[str, str, str], float]
Scorer = Callable[[list[list[int]]], Tensor]
Many = Callable[[Texts, Texts, Texts], list[float]]  # prompts, completions, references -> rewards

REGEX_SECONDS = 0.5  # for one answer: some patterns take longer than the world has existed
FENCE = "```"


def exact_match(_prompt: str, completion: str, reference: str) -> float:
    """1 where the answer is the reference, up to case, width of letters and white space."""
    return float(plain(completion) == plain(reference) != "")


def contains(_prompt: str, completion: str, reference: str) -> float:
    """1 where the answer contains the reference, up to case, width of letters and white space."""
    wanted = plain(reference)
    return float(wanted != "" and wanted in plain(completion))


def json_valid(_prompt: str, completion: str, _reference: str) -> float:
    """1 where the answer is one JSON object or list, as it is or in a ``` block."""
    text = completion.strip()
    if text.startswith(FENCE) and text.endswith(FENCE) and len(text) > 2 * len(FENCE):
        text = text.removeprefix(FENCE).removesuffix(FENCE).removeprefix("json")
    try:
        content = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return 0.0
    return float(isinstance(content, dict | list))


def length_near(target: int) -> One:
    """1 where the answer has `target` characters, falling evenly to 0 at none and at twice that."""

    def length(_prompt: str, completion: str, _reference: str) -> float:
        return max(0.0, 1 - abs(len(completion.strip()) - target) / target)

    return length


def regex_found(pattern: str, slow: Callable[[], None]) -> One:
    """1 where the pattern is found in the answer, 0 where it is not within REGEX_SECONDS.

    `slow` is called when that time is over. Raises UsageError for a pattern that is none.
    """
    try:
        compiled = regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        params = {"reason": str(error)[:200]}
        raise UsageError(
            Problem(code="reward_regex_wrong", field="reward_regex", params=params)
        ) from error

    def found(_prompt: str, completion: str, _reference: str) -> float:
        try:
            return float(compiled.search(completion, timeout=REGEX_SECONDS) is not None)
        except TimeoutError:
            slow()
            return 0.0

    return found


def plain(text: str) -> str:
    """Text for comparing: Unicode NFKC, no upper case, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def build(values: Arguments, notice: Callable[[Problem], None]) -> dict[str, Many]:
    """The functions that reward_functions names, but for the reward model, in their order.

    Raises UsageError for a pattern or a Python file that cannot be used.
    """
    slow = Problem(code="reward_regex_slow", field="reward_regex", notice=True)
    pattern = values.reward_regex or ""
    makers: dict[str, Callable[[], Many]] = {
        "exact_match": lambda: each(exact_match),
        "contains": lambda: each(contains),
        "json_valid": lambda: each(json_valid),
        "length": lambda: each(length_near(values.reward_length)),
        "regex": lambda: each(regex_found(pattern, lambda: notice(slow))),
        "python": lambda: own(local(values.reward_python_file or "")),
    }
    wanted = names(values.reward_functions)
    return {name: makers[name]() for name in wanted if name in makers}


def weights(values: Arguments) -> dict[str, float]:
    """The weight of each named function; 1 where none are given."""
    wanted = names(values.reward_functions)
    given = (values.reward_weights or "").split(",")
    numbers = [float(part) for part in given if part.strip()] or [1.0] * len(wanted)
    return dict(zip(wanted, numbers, strict=True))


class Rewards:
    """The rewards of a run: each named function times its weight, added up.

    `scorer` takes token ids of question and answer and gives the reward model's scores, [n]; None
    where reward_functions does not name it. Raises UsageError as `build` does.
    """

    def __init__(
        self, values: Arguments, notice: Callable[[Problem], None], scorer: Scorer | None = None
    ) -> None:
        self.functions = build(values, notice)
        self.weights = weights(values)
        self.scorer = scorer

    def __call__(
        self, texts: tuple[Texts, Texts, Texts], ids: Sequence[list[int]]
    ) -> dict[str, Tensor]:
        """By name the rewards of n answers, float32 [n] on the CPU, unweighted.

        `texts` are prompts, completions and references; `ids` question and answer as tokens.
        Raises UsageError where a reward is not finite, or the person's function fails.
        """
        return {name: self.of(name, texts, ids) for name in self.weights}

    def of(self, name: str, texts: tuple[Texts, Texts, Texts], ids: Sequence[list[int]]) -> Tensor:
        """The rewards by one of the functions, as all of them are given by a call."""
        function = self.functions.get(name)
        if function is not None:
            rewards = torch.tensor(function(*texts), dtype=torch.float32)
        else:
            assert self.scorer is not None
            rewards = self.scorer([list(one) for one in ids]).detach().float().cpu()
        if not torch.isfinite(rewards).all():
            params = {"name": name}
            raise UsageError(
                Problem(code="reward_not_finite", field="reward_functions", params=params)
            )
        return rewards

    def total(self, found: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, [n]."""
        return torch.stack([self.weights[name] * one for name, one in found.items()]).sum(0)


def each(function: One) -> Many:
    """A function of one answer as a function of many."""

    def many(prompts: Texts, completions: Texts, references: Texts) -> list[float]:
        rows = zip(prompts, completions, references, strict=True)
        return [function(*row) for row in rows]

    return many


def require_references(wanted: Collection[str], rows: Any) -> None:
    """Raise UsageError where answers are to be compared with those of data that has none."""
    if any(rows["reference"]):
        return
    for name in wanted:
        if name in {"exact_match", "contains"}:
            params = {"name": name}
            raise UsageError(
                Problem(code="reward_needs_reference", field="reward_functions", params=params)
            )


def question(messages: str) -> str:
    """The last question of a conversation, given as JSON text."""
    asked = [one["content"] for one in json.loads(messages) if one["role"] == "user"]
    return str(asked[-1]) if asked else ""


def own(path: Path) -> Many:
    """The function `reward` of a Python file. The file is run, with all that this user may do.

    It takes three lists of text (prompts, completions, references) and gives a list of as many
    numbers. Raises UsageError, with file and line, where the file or the function fails.
    """
    module = _guarded(path, lambda: _loaded(path))
    function = getattr(module, "reward", None)
    if not callable(function):
        raise _python("reward_python_no_function", path)

    def many(prompts: Texts, completions: Texts, references: Texts) -> list[float]:
        given = (list(prompts), list(completions), list(references))
        return _numbers(_guarded(path, lambda: function(*given)), len(prompts), path)

    return many


@cache
def _loaded(path: Path) -> Any:
    loader = SourceFileLoader("tuneboard_rewards", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _guarded(path: Path, act: Callable[[], Any]) -> Any:
    """What `act` gives; anything that the person's code raises is told with file and line."""
    try:
        return act()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        at = f"{path.name}:{_line(error, path)}"
        raise _python("reward_python_failed", path, at=at, reason=reason) from error


def _line(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((one.lineno or 1 for one in reversed(frames) if one.filename == str(path)), 1)


def _numbers(result: Any, count: int, path: Path) -> list[float]:
    """The rewards as floats; UsageError where they are not `count` finite numbers."""
    found = result.tolist() if hasattr(result, "tolist") else result
    if not isinstance(found, list | tuple):
        raise _python("reward_python_no_list", path, found=type(result).__name__)
    if len(found) != count:
        raise _python("reward_python_count", path, found=len(found), wanted=count)
    wrong = [one for one in found if not isinstance(one, Real) or not math.isfinite(one)]
    if wrong:
        raise _python("reward_python_not_number", path, found=repr(wrong[0])[:80])
    return [float(one) for one in found]


def _refused(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity are no JSON


def _python(code: str, path: Path, **params: str | int) -> UsageError:
    given = {"path": str(path), **params}
    return UsageError(Problem(code=code, field="reward_python_file", params=given))
