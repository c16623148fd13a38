"""Rewards: each named function on plain and on hostile answers, and the person's own file."""

from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve, validate
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields.stages import REWARDS
from backend.contract.preflight import rewards
from backend.contract.texts.problems import Problem, UsageError
from backend.training import reward_functions as functions

NEVER: list[str] = []  # notices that nothing should make


def built(name: str, **values: Any) -> functions.BatchReward:
    given: Values = {"reward_functions": name, **values}
    return functions.build(resolve(given), lambda problem: NEVER.append(problem.code))[name]


def reward(name: str, completion: str, reference: str = "", **values: Any) -> float:
    return built(name, **values)(["question"], [completion], [reference])[0]


@pytest.mark.parametrize(
    ("completion", "reference", "equal", "inside"),
    [
        ("Paris", "Paris", 1, 1),
        ("  paris\n", "Paris", 1, 1),
        ("It is Paris.", "Paris", 0, 1),
        ("Par", "Paris", 0, 0),
        ("", "", 0, 0),  # no answer in the data: nothing to match
        ("anything", "", 0, 0),
        ("", "Paris", 0, 0),
        ("北京", "北京", 1, 1),
        ("中国的首都是北京。", "北京", 0, 1),
        ("４２", "42", 1, 1),  # full-width digits, as Chinese keyboards write them
        ("答案：是", "答案:是", 1, 1),
        ("STRASSE", "straße", 1, 1),
        ("a  b\tc", "a b c", 1, 1),
    ],
)
def test_answers_against_the_reference(
    completion: str, reference: str, equal: int, inside: int
) -> None:
    assert reward("exact_match", completion, reference) == equal
    assert reward("contains", completion, reference) == inside


@pytest.mark.parametrize(
    ("completion", "valid"),
    [
        ('{"a": 1}', 1),
        ("[]", 1),
        (' [1, {"城市": "北京"}] \n', 1),
        ('```json\n{"a": 1}\n```', 1),
        ("```\n[1]\n```", 1),
        ("42", 0),  # a number alone is easily said and no structure
        ('"text"', 0),
        ("{'a': 1}", 0),
        ('{"a": 1} and more', 0),
        ('{"a": NaN}', 0),
        ("", 0),
        ("```", 0),
        ("``````", 0),
        ("[" * 100_000, 0),
        ("[" + "9" * 10_000 + "]", 0),
    ],
)
def test_json(completion: str, valid: int) -> None:
    assert reward("json_valid", completion) == valid


@pytest.mark.parametrize(
    ("length", "value"), [(0, 0.0), (5, 0.5), (10, 1.0), (15, 0.5), (20, 0.0), (1000, 0.0)]
)
def test_length_in_characters(length: int, value: float) -> None:
    for letter in ("a", "字", "😀"):
        assert reward("length", letter * length, reward_length=10) == pytest.approx(value)


def test_white_space_around_an_answer_has_no_length() -> None:
    assert reward("length", "\n ab  \n", reward_length=2) == 1


@pytest.mark.parametrize(
    ("pattern", "completion", "value"),
    [
        (r"<answer>.+</answer>", "so <answer>4</answer>", 1),
        (r"<answer>.+</answer>", "<answer></answer>", 0),
        (r"^\p{Han}+。$", "今天天气很好。", 1),
        (r"^\p{Han}+。$", "fine today.", 0),
        (r"(?i)paris", "PARIS", 1),
    ],
)
def test_regex(pattern: str, completion: str, value: int) -> None:
    assert reward("regex", completion, reward_regex=pattern) == value


def test_a_regex_that_never_ends_is_cut_off_and_told() -> None:
    """Without the time limit this pattern needs years for this answer."""
    told: list[Problem] = []
    values: Values = {"reward_functions": "regex", "reward_regex": r"^(a|aa|a?)+$"}
    many = functions.build(resolve(values), told.append)["regex"]
    assert many(["", ""], ["a" * 200 + "!", "aaa"], ["", ""]) == [0.0, 1.0]
    assert [(problem.code, problem.notice) for problem in told] == [("reward_regex_slow", True)]


@pytest.mark.parametrize("pattern", ["(", "[a", "a{99999999999999999999}", r"\p{Nonsense}"])
def test_a_regex_that_is_none_is_named(pattern: str) -> None:
    with pytest.raises(UsageError) as caught:
        built("regex", reward_regex=pattern)
    assert caught.value.problems[0].code == "reward_regex_wrong"
    assert "reward_regex" in str(caught.value)


def test_every_reward_is_from_zero_to_one() -> None:
    values = {"reward_length": 7, "reward_regex": "a+"}
    answers = ["", "a", "[]", "文", "a" * 100, "\u202e\0\ud7ff", '{"a": [1, 2]}', "😀" * 7]
    names = [name for name in REWARDS if name not in {"python", "reward_model"}]
    assert len(names) == 5
    for name in names:
        found = built(name, **values)(answers, answers, answers)
        assert len(found) == len(answers)
        assert all(isinstance(one, float) and 0 <= one <= 1 for one in found), name


@pytest.fixture
def own(tmp_path: Path) -> Any:
    """The function of a Python file with this content."""

    def made(content: str) -> functions.BatchReward:
        path = tmp_path / "mine.py"
        path.write_text(content, encoding="utf-8")
        return built("python", reward_python_file=str(path))

    return made


def test_an_own_function_sees_texts_and_gives_numbers(own: Any) -> None:
    many = own(
        "def reward(prompts, completions, references):\n"
        "    rows = zip(prompts, completions, references)\n"
        "    return [len(p) + (c == r) for p, c, r in rows]\n"
    )
    assert many(["问", "ab"], ["x", "y"], ["x", "z"]) == [2.0, 2.0]


def test_an_own_function_may_give_an_array(own: Any) -> None:
    many = own("import numpy\ndef reward(p, c, r):\n    return numpy.ones(len(c))\n")
    assert many(["a"], ["b"], ["c"]) == [1.0]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("def reward(p, c, r):\n    x = 1\n    return [1 / 0]\n", "failed", "mine.py:3"),
        ("def reward(p, c, r):\n    return [int(c[0])]\n", "failed", "mine.py:2"),
        ("\n\nx = = 1\n", "failed", "mine.py:3"),
        ("import nowhere_to_be_found\n", "failed", "ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", "failed", "mine.py:2"),
        ("def reward(a):\n    return [1.0]\n", "failed", "TypeError"),
        ("x = 1\n", "no_function", "reward"),
        ("def reward(p, c, r):\n    return 1.0\n", "no_list", "float"),
        ("def reward(p, c, r):\n    return [1.0, 2.0]\n", "count", "2"),
        ("def reward(p, c, r):\n    return [float('nan')]\n", "not_number", "nan"),
        ("def reward(p, c, r):\n    return [None]\n", "not_number", "None"),
        ("def reward(p, c, r):\n    return ['1']\n", "not_number", "'1'"),
    ],
)
def test_what_is_wrong_with_an_own_function_is_named(
    own: Any, content: str, code: str, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        own(content)(["a"], ["b"], ["c"])
    problem = caught.value.problems[0]
    assert (problem.code, problem.field) == (f"reward_python_{code}", "reward_python_file")
    assert words in problem.text()
    assert "mine.py" in problem.text()


def test_weights() -> None:
    assert functions.weights(resolve({"reward_functions": "regex,length"})) == {
        "regex": 1,
        "length": 1,
    }
    values = resolve({"reward_functions": "regex, length", "reward_weights": "0.5, -2"})
    assert functions.weights(values) == {"regex": 0.5, "length": -2}


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"reward_weights": "1,2"}, "reward_weights_count", "reward_weights"),
        (
            {"reward_functions": "python", "reward_python_file": "nowhere.py"},
            "reward_python_missing",
            "reward_python_file",
        ),
    ],
)
def test_rewards_are_checked_before_a_launch(
    given: Values, code: str, field: str, workspace: Path
) -> None:
    values: Values = {"reward_functions": "exact_match", **given}
    assert rewards.check_functions(resolve(values)) == []  # of another stage
    found = rewards.check_functions(resolve({**values, "stage": "grpo"}))
    assert [(one.code, one.field) for one in found] == [(code, field)]
    assert found[0].text("zh")


@pytest.mark.parametrize(
    ("functions", "given", "codes"),
    [
        ("regex", {}, {"reward_regex_required"}),
        ("regex", {"reward_regex": "a"}, set()),
        ("python", {}, {"reward_python_required", "reward_python_not_allowed"}),
        ("python", {"reward_python_file": "a.py"}, {"reward_python_not_allowed"}),
        ("python", {"reward_python_file": "a.py", "allow_reward_python": "true"}, set()),
        ("length,json_valid", {}, set()),
    ],
)
def test_what_a_function_needs_is_asked_for(functions: str, given: Any, codes: set[str]) -> None:
    raw = {"model_name_or_path": "m", "dataset": "d", "reward_functions": functions, **given}
    found = validate({**raw, "stage": "grpo"}, "train")
    assert {one.code for one in found if not one.notice} == codes
    assert validate({**raw, "stage": "sft"}, "train") == []
