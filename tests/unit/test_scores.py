"""Scores against figures worked out by hand."""

import math
import subprocess
import sys

import pytest

from backend.evaluation import scores


def test_identical_text_is_100() -> None:
    for text in ("Paris", "The capital of France is Paris.", "今天天气很好。", "a b", "42"):
        assert scores.score(text, text) == pytest.approx(
            dict.fromkeys(scores.NAMES, 100.0) | _rouge2_needs_two_words(text)
        ), text


def _rouge2_needs_two_words(text: str) -> dict[str, float]:
    return {"rouge-2": 0.0} if len(scores.words(text)) < 2 else {}


@pytest.mark.parametrize(("label", "prediction"), [("", ""), ("a", ""), ("", "a"), (" \n", "。")])
def test_empty_is_0(label: str, prediction: str) -> None:
    assert set(scores.score(label, prediction).values()) == {0.0}


def test_nothing_in_common_is_nearly_0() -> None:
    scored = scores.score("one two three four", "five six seven eight")
    assert scored["rouge-1"] == scored["rouge-2"] == scored["rouge-l"] == scored["exact_match"] == 0
    assert scored["bleu-4"] < 10


def test_rouge_by_hand() -> None:
    """label: the cat sat on the mat (6 words, 5 pairs); prediction: the cat the mat (4, 3)."""
    scored = scores.score("The cat sat on the mat", "the cat the mat!")
    assert scored["rouge-1"] == pytest.approx(100 * 2 * (4 / 4) * (4 / 6) / (4 / 4 + 4 / 6))
    # shared pairs: "the cat", "the mat"
    assert scored["rouge-2"] == pytest.approx(100 * 2 * (2 / 3) * (2 / 5) / (2 / 3 + 2 / 5))
    assert scored["rouge-l"] == pytest.approx(scored["rouge-1"])  # the cat ... the mat, in order


def test_bleu_by_hand() -> None:
    """5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 fours; no brevity penalty."""
    scored = scores.score("the cat sat on the mat", "the cat sat on a mat")
    assert scored["bleu-4"] == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_bleu_is_brevity_penalised() -> None:
    scored = scores.score("a b c d e f g h", "a b c d")
    assert scored["bleu-4"] == pytest.approx(100 * math.exp(1 - 8 / 4))


def test_chinese() -> None:
    """The figures that rouge-chinese gives for these sentences' words."""
    assert scores.words("今天天气很好") == ["今天天气", "很", "好"]
    scored = scores.score("我爱北京天安门", "我爱上海")
    # words: 我 爱 北京 天安门 | 我 爱 上海: 2 of 4, 2 of 3; pairs: 1 of 3, 1 of 2
    assert scored["rouge-1"] == pytest.approx(100 * 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert scored["rouge-2"] == pytest.approx(100 * 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert scores.bleu_tokens("我爱Paris 2024，好") == ["我", "爱", "Paris", "2024", "，", "好"]


def test_other_scripts_count_as_words() -> None:
    assert scores.score("Привет мир", "привет, мир")["rouge-1"] == pytest.approx(100)
    assert scores.score("über Straße", "über Straße")["rouge-2"] == pytest.approx(100)


def test_mean_over_rows() -> None:
    scored = scores.mean_scores([("a b c d", "a b c d"), ("a b c d", "")])
    assert scored == dict.fromkeys(scores.NAMES, 50.0)
    assert scores.mean_scores([]) == {}


def test_english_loads_no_chinese_dictionary() -> None:
    code = (
        "import sys; from backend.evaluation import scores; scores.score('a b', 'b');"
        "assert 'jieba' not in sys.modules; scores.score('好', '好'); assert 'jieba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
