"""Texts to token ids and labels.

The whole text is tokenised at once and the tokenizer's own offsets say which tokens belong to an
answer, so the ids are those that the model sees when the text is tokenised anywhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from backend.contract.field import Value
from backend.data.spans import Span, Written
from backend.data.templates import Template

IGNORED = -100


@dataclass(frozen=True)
class Policy:
    """What is learned, and how long a row may be (tokens)."""

    cutoff_len: int
    train_on_prompt: bool = False
    mask_history: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> "Policy":
        """From the arguments."""
        return cls(
            int(str(values.get("cutoff_len") or 2048)),
            bool(values.get("train_on_prompt")),
            bool(values.get("mask_history")),
        )


@dataclass(frozen=True)
class Encoded:
    """One example: ids, and labels of the same length, IGNORED where nothing is learned."""

    ids: list[int]
    labels: list[int]
    cut: bool = False

    @property
    def learned(self) -> int:
        """How many tokens are learned."""
        return sum(label != IGNORED for label in self.labels)


def encode(texts: list[Written], template: Template, policy: Policy) -> list[Encoded]:
    """Each text with its labels, cut at the end to policy.cutoff_len."""
    if not texts:
        return []
    if not template.tokenizer.is_fast:
        pieces = (_piecewise(one, template, policy) for one in texts)
        return [cut(Encoded(*each), policy.cutoff_len) for each in pieces]
    found = template.tokenizer(
        [one.text for one in texts],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    rows = zip(texts, found["input_ids"], found["offset_mapping"], strict=True)
    return [
        cut(Encoded(ids, _labels(one, ids, offsets, policy)), policy.cutoff_len)
        for one, ids, offsets in rows
    ]


def _labels(
    one: Written, ids: list[int], offsets: list[tuple[int, int]], policy: Policy
) -> list[int]:
    """A token is learned where it shares a character with an answer."""
    labels = list(ids) if policy.train_on_prompt else [IGNORED] * len(ids)
    position = 0
    for span in one.spans:
        while position < len(ids) and offsets[position][1] <= span.start:
            position += 1
        while position < len(ids) and offsets[position][0] < span.end:
            labels[position] = ids[position] if span.learn else IGNORED
            position += 1
    return labels


def _piecewise(one: Written, template: Template, policy: Policy) -> tuple[list[int], list[int]]:
    """For a tokenizer without offsets: prompts and answers tokenised apart."""
    ids: list[int] = []
    labels: list[int] = []
    at = 0
    for span in [*one.spans, Span(len(one.text), len(one.text), False)]:
        parts = (
            (one.text[at : span.start], policy.train_on_prompt),
            (one.text[span.start : span.end], span.learn),
        )
        for text, learn in parts:
            new = template.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
            ids += new
            labels += new if learn else [IGNORED] * len(new)
        at = span.end
    return ids, labels


def cut(whole: Encoded, limit: int) -> Encoded:
    """Cut at the end. The first token has nothing before it that it could be learned from."""
    labels = [IGNORED, *whole.labels[1:]] if whole.labels else []
    return Encoded(whole.ids[:limit], labels[:limit], cut=len(whole.ids) > limit)
