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
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import Problem, UsageError

Texts = Sequence[str]
AnswerReward = Callable[[str, str, str], float]
Scorer = Callable[[list[list[int]]], Tensor]
BatchReward = Callable[
    [Texts, Texts, Texts], list[float]
]  # prompts, completions, references -> rewards

REGEX_SECONDS = 0.5  # for one answer: some patterns take longer than the world has existed
FENCE = "```"


def exact_match(_prompt: str, completion: str, reference: str) -> float:
    """1 where the answer is the reference, up to case, width of letters and white space."""
    return float(normalize(completion) == normalize(reference) != "")


def contains(_prompt: str, completion: str, reference: str) -> float:
    """1 where the answer contains the reference, up to case, width of letters and white space."""
    wanted = normalize(reference)
    return float(wanted != "" and wanted in normalize(completion))


def json_valid(_prompt: str, completion: str, _reference: str) -> float:
    """1 where the answer is one JSON object or list, as it is or in a ``` block."""
    text = completion.strip()
    if text.startswith(FENCE) and text.endswith(FENCE) and len(text) > 2 * len(FENCE):
        text = text.removeprefix(FENCE).removesuffix(FENCE).removeprefix("json")
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return 0.0
    return float(isinstance(content, dict | list))


def length_near(target: int) -> AnswerReward:
    """1 where the answer has `target` characters, falling evenly to 0 at none and at twice that."""

    def length(_prompt: str, completion: str, _reference: str) -> float:
        return max(0.0, 1 - abs(len(completion.strip()) - target) / target)

    return length


def match_regex(pattern: str, slow: Callable[[], None]) -> AnswerReward:
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

    def search(_prompt: str, completion: str, _reference: str) -> float:
        try:
            return float(compiled.search(completion, timeout=REGEX_SECONDS) is not None)
        except TimeoutError:
            slow()
            return 0.0

    return search


def normalize(text: str) -> str:
    """Text for comparing: Unicode NFKC, no upper case, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def build(values: Arguments, notice: Callable[[Problem], None]) -> dict[str, BatchReward]:
    """The functions that reward_functions names, but for the reward model, in their order.

    Raises UsageError for a pattern or a Python file that cannot be used.
    """
    slow = Problem(code="reward_regex_slow", field="reward_regex", notice=True)
    pattern = values.reward_regex or ""
    makers: dict[str, Callable[[], BatchReward]] = {
        "exact_match": lambda: map_answers(exact_match),
        "contains": lambda: map_answers(contains),
        "json_valid": lambda: map_answers(json_valid),
        "length": lambda: map_answers(length_near(values.reward_length)),
        "regex": lambda: map_answers(match_regex(pattern, lambda: notice(slow))),
        "python": lambda: load_python_file(local(values.reward_python_file or "")),
    }
    wanted = names(values.reward_functions)
    return {name: makers[name]() for name in wanted if name in makers}


def weights(values: Arguments) -> dict[str, float]:
    """The weight of each named function; 1 where none are given."""
    wanted = names(values.reward_functions)
    parts = (values.reward_weights or "").split(",")
    numbers = [float(part) for part in parts if part.strip()] or [1.0] * len(wanted)
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
            rewards = self.scorer([list(answer_ids) for answer_ids in ids]).detach().float().cpu()
        if not torch.isfinite(rewards).all():
            params = {"name": name}
            raise UsageError(
                Problem(code="reward_not_finite", field="reward_functions", params=params)
            )
        return rewards

    def total(self, rewards: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, [n]."""
        return torch.stack([self.weights[name] * values for name, values in rewards.items()]).sum(0)


def map_answers(function: AnswerReward) -> BatchReward:
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


def last_question(messages: str) -> str:
    """The last question of a conversation, given as JSON text."""
    questions = [
        message["content"] for message in json.loads(messages) if message["role"] == "user"
    ]
    return str(questions[-1]) if questions else ""


def load_python_file(path: Path) -> BatchReward:
    """Return the function `reward` of a Python file. The file runs with all of this user's rights.

    It takes three lists of text (prompts, completions, references) and gives a list of as many
    numbers. Raises UsageError, with file and line, where the file or the function fails.
    """
    module = _run_user_code(path, lambda: _load_module(path))
    function = getattr(module, "reward", None)
    if not callable(function):
        raise _python_error("reward_python_no_function", path)

    def many(prompts: Texts, completions: Texts, references: Texts) -> list[float]:
        texts = (list(prompts), list(completions), list(references))
        return _check_numbers(_run_user_code(path, lambda: function(*texts)), len(prompts), path)

    return many


@cache
def _load_module(path: Path) -> Any:
    loader = SourceFileLoader("tuneboard_rewards", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _run_user_code(path: Path, act: Callable[[], Any]) -> Any:
    """Return what `act` returns. Raises UsageError with file and line for whatever it raises."""
    try:
        return act()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        at = f"{path.name}:{_failing_line(error, path)}"
        raise _python_error("reward_python_failed", path, at=at, reason=reason) from error


def _failing_line(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)


def _check_numbers(result: Any, count: int, path: Path) -> list[float]:
    """The rewards as floats; UsageError where they are not `count` finite numbers."""
    rewards = result.tolist() if hasattr(result, "tolist") else result
    if not isinstance(rewards, list | tuple):
        raise _python_error("reward_python_no_list", path, found=type(result).__name__)
    if len(rewards) != count:
        raise _python_error("reward_python_count", path, found=len(rewards), wanted=count)
    wrong = [
        reward for reward in rewards if not isinstance(reward, Real) or not math.isfinite(reward)
    ]
    if wrong:
        raise _python_error("reward_python_not_number", path, found=repr(wrong[0])[:80])
    return [float(reward) for reward in rewards]


def _refuse_constant(word: str) -> None:
    raise ValueError(word)  # NaN and Infinity are no JSON


def _python_error(code: str, path: Path, **params: str | int) -> UsageError:
    all_params = {"path": str(path), **params}
    return UsageError(Problem(code=code, field="reward_python_file", params=all_params))
