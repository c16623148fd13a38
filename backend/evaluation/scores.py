"""How near a prediction is to its label: BLEU-4, ROUGE-1/2/L and exact match, 0 to 100.

Each score is the mean over rows. A row whose label or prediction is empty scores 0.

ROUGE (F-measure of rouge_score) counts words: runs of letters and digits in lower case; Chinese,
which writes no spaces, is cut into words by jieba. BLEU-4 (nltk, smoothing method 3 of Chen and
Cherry 2014, https://aclanthology.org/W14-3346) counts words and punctuation marks as they stand,
and each Chinese character by itself, as sacrebleu's "zh" does. A label shorter than four tokens is
judged by the n-grams that it has, so that an identical prediction scores 100.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
CHARACTERS = re.compile(rf"[{HAN}]|[^\W{HAN}]+|[^\w\s]")
RUNS = re.compile(rf"[{HAN}]+|[^\W{HAN}]+")
IS_HAN = re.compile(rf"[{HAN}]")
ROUGE = {"rouge1": "rouge-1", "rouge2": "rouge-2", "rougeL": "rouge-l"}
NAMES = ("bleu-4", *ROUGE.values(), "exact_match")

_smooth = SmoothingFunction().method3


def mean_scores(pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """The mean of each score over (label, prediction) pairs; no pairs give no scores."""
    rows = [score(label, prediction) for label, prediction in pairs]
    return {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in NAMES if rows}


def score(label: str, prediction: str) -> dict[str, float]:
    """The scores of one prediction, 0 to 100, by the names in NAMES."""
    rouge = _scorer().score(label, prediction)
    return {
        "bleu-4": 100 * bleu(bleu_tokens(label), bleu_tokens(prediction)),
        **{name: 100 * float(rouge[key].fmeasure) for key, name in ROUGE.items()},
        "exact_match": 100.0 * (bool(label.strip()) and label.strip() == prediction.strip()),
    }


def bleu(label: Sequence[str], prediction: Sequence[str], order: int = 4) -> float:
    """Sentence BLEU of token lists, 0 to 1, with n-grams up to `order` or the label's length."""
    if not label or not prediction:
        return 0.0
    order = min(order, len(label))
    weights = (1 / order,) * order
    return float(sentence_bleu([label], prediction, weights, smoothing_function=_smooth))


def bleu_tokens(text: str) -> list[str]:
    """Words, punctuation marks and single Chinese characters, as they stand."""
    return CHARACTERS.findall(text)


def words(text: str) -> list[str]:
    """Words in lower case; Chinese is cut by jieba."""
    words_of_text: list[str] = []
    for run in RUNS.findall(text.lower()):
        words_of_text += _cut_chinese(run) if IS_HAN.match(run) else [run]
    return words_of_text


def _cut_chinese(run: str) -> list[str]:
    import jieba  # its dictionary takes seconds: only where there is Chinese

    jieba.setLogLevel("WARNING")
    pieces: list[str] = jieba.lcut(run)
    return pieces


class _Words(Tokenizer):  # type: ignore[misc]
    """rouge_score's own tokenizer knows a-z and 0-9 only and gives Chinese 0."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _scorer() -> Any:
    return RougeScorer(list(ROUGE), tokenizer=_Words())
