"""Encode texts as token ids and labels.

The whole text is tokenised at once and the tokenizer's own offsets say which tokens belong to an
answer, so the ids are those that any other program gets for the text. Where they would not
continue the ids of a prompt, backend.data.boundaries tokenises the answer apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.data import boundaries
from backend.data.boundaries import IGNORED as IGNORED
from backend.data.rendering import Template
from backend.data.spans import RenderedText

LabelledIds = tuple[list[int], list[int]]  # ids and labels
Head = tuple[str, list[int]]  # the end of a prompt, as text and as ids


@dataclass(frozen=True)
class Policy:
    """Which tokens are learned, and the cutoff length in tokens."""

    cutoff_len: int
    train_on_prompt: bool = False
    mask_history: bool = False

    @classmethod
    def of(cls, values: Arguments) -> "Policy":
        """The policy that the arguments ask for."""
        return cls(
            values.cutoff_len,
            values.train_on_prompt,
            values.mask_history or values.stage == "distillation",
        )


@dataclass(frozen=True)
class Encoded:
    """One example: ids, and labels of the same length, IGNORED where nothing is learned.

    text: the number of the text that it was made of; cut: it was longer than the cutoff length.
    """

    ids: list[int]
    labels: list[int]
    cut: bool = False
    text: int = 0

    @property
    def learned(self) -> int:
        """The number of tokens that are learned."""
        return sum(label != IGNORED for label in self.labels)


def encode(texts: list[RenderedText], template: Template, policy: Policy) -> list[Encoded]:
    """Encode each text with its labels, cut at the end to policy.cutoff_len tokens: one example,
    or several where a later prompt does not begin with the ids of the answers before it."""
    tokenizer = template.tokenizer
    labelled: list[tuple[int, LabelledIds]] = []
    if tokenizer.is_fast:
        labelled = list(_encode_whole(texts, tokenizer, policy))
    whole = {number for number, _ in labelled}
    for number, text in enumerate(texts):
        if number not in whole:
            rows = boundaries.encode_apart(tokenizer, text, policy.train_on_prompt)
            labelled += [(number, row) for row in rows]
    labelled.sort(key=lambda each: each[0])
    return [cut(Encoded(*row, text=number), policy.cutoff_len) for number, row in labelled]


def _encode_whole(
    texts: list[RenderedText], tokenizer: Any, policy: Policy
) -> Iterator[tuple[int, LabelledIds]]:
    """Yield number, ids and labels of the texts that can be tokenised at once."""
    if not texts:
        return
    encodings = tokenizer(
        [text.text for text in texts],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    heads = boundaries.Heads(tokenizer)
    looked: list[tuple[int, LabelledIds, list[Head] | None]] = []
    for number, text in enumerate(texts):
        ids, offsets = encodings["input_ids"][number], encodings["offset_mapping"][number]
        labels, places = _labels(text, ids, offsets, policy)
        looked.append((number, (ids, labels), _prompt_ends(text, places, (ids, offsets), heads)))
    heads.learn(head for _, _, each in looked for head, _ in each or ())
    for number, row, each in looked:
        if each is not None and all(heads[head] == ids for head, ids in each):
            yield number, row


def _labels(
    text: RenderedText, ids: list[int], offsets: boundaries.Offsets, policy: Policy
) -> tuple[list[int], list[int]]:
    """The labels, where a token is learned if it shares a character with an answer, and the
    indices in `ids` where the answers begin."""
    labels = list(ids) if policy.train_on_prompt else [IGNORED] * len(ids)
    places = []
    position = 0
    for span in text.spans:
        while position < len(ids) and offsets[position][1] <= span.start:
            position += 1
        places.append(position)
        while position < len(ids) and offsets[position][0] < span.end:
            labels[position] = ids[position] if span.learn else IGNORED
            position += 1
    return labels, places


def _prompt_ends(
    text: RenderedText,
    places: list[int],
    whole: tuple[list[int], boundaries.Offsets],
    heads: boundaries.Heads,
) -> list[Head] | None:
    """The ends of the prompts of learned answers, as text and as ids in the whole; None where a
    token is both in a prompt and in its answer."""
    ids, offsets = whole
    ends = []
    for span, place in zip(text.spans, places, strict=True):
        if not span.learn:
            continue
        if place < len(ids) and offsets[place][0] < span.start:
            return None
        begin = heads.begin(ids, place)
        start = offsets[begin][0] if begin else 0
        ends.append((text.text[start : span.start], ids[begin:place]))
    return ends


def cut(whole: Encoded, limit: int) -> Encoded:
    """Cut the example at the end to `limit` tokens; its first token, which has nothing before it
    to be learned from, is not learned."""
    labels = [IGNORED, *whole.labels[1:]] if whole.labels else []
    ids = whole.ids[:limit]
    return replace(whole, ids=ids, labels=labels[:limit], cut=len(whole.ids) > limit)
