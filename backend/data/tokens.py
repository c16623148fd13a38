"""Conversations to token ids and labels, a batch at a time.

The whole text is tokenised at once and the tokenizer's own offsets say which tokens belong to an
answer, so the ids are those that the model sees when the text is tokenised anywhere else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.contract.field import Value
from backend.data.spans import Span, Written, written
from backend.data.templates import Template
from backend.data.turns import RowError

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


def batch(
    columns: Mapping[str, list[Any]], template: Template, policy: Policy
) -> dict[str, list[Any]]:
    """Columns `conversation` (JSON) and `place` (a number) to examples, several or none a row.

    A row without an example comes back with its reason in `refused` and no ids.
    """
    out: dict[str, list[Any]] = {
        name: [] for name in ("input_ids", "labels", "length", "learned", "cut", "place", "refused")
    }
    texts: list[Written] = []
    places: list[int] = []

    def add(place: int, example: Encoded, refused: str) -> None:
        row = (example.ids, example.labels, len(example.ids), example.learned, example.cut)
        for name, value in zip(out, (*row, place, refused), strict=True):
            out[name].append(value)

    for place, row in zip(columns["place"], columns["conversation"], strict=True):
        conversation = json.loads(row)
        try:
            found = written(
                template, conversation["messages"], conversation["tools"], policy.mask_history
            )
        except RowError as error:
            add(place, Encoded([], []), error.code)
            continue
        if not policy.train_on_prompt and not any(s.learn for one in found for s in one.spans):
            add(place, Encoded([], []), "row_nothing_to_learn")
            continue
        texts += found
        places += [place] * len(found)
    for place, example in zip(places, encode(texts, template, policy), strict=True):
        kept = example if example.learned else Encoded([], [])
        add(place, kept, "" if example.learned else "row_cut_away")
    return out


def encode(texts: list[Written], template: Template, policy: Policy) -> list[Encoded]:
    """Each text with its labels, cut at the end to policy.cutoff_len."""
    if not texts:
        return []
    if not template.tokenizer.is_fast:
        return [_cut(*_piecewise(one, template, policy), policy) for one in texts]
    found = template.tokenizer(
        [one.text for one in texts], add_special_tokens=False, return_offsets_mapping=True
    )
    rows = zip(texts, found["input_ids"], found["offset_mapping"], strict=True)
    return [_cut(ids, _labels(one, ids, offsets, policy), policy) for one, ids, offsets in rows]


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


def _cut(ids: list[int], labels: list[int], policy: Policy) -> Encoded:
    """Cut to length. The first token has nothing before it that it could be learned from."""
    labels = [IGNORED, *labels[1:]] if labels else []
    limit = policy.cutoff_len
    return Encoded(list(ids[:limit]), labels[:limit], cut=len(ids) > limit)
