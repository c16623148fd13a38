"""Encode texts in pieces between special tokens, each different piece of a batch once.

A tokenizer cuts a text at its special tokens and encodes what is between them on its own, so the
ids of a text are those of its pieces in a row. Headers and system texts, which the rows of a set
share, are encoded once for many rows. Where a piece begins with the ids of a header alone, the
answer begins with the next token; no offsets are needed, which take a third of the time.

Only tokenizers that are known to cut so and to lose nothing of a text are taken (byte-level BPE,
BPE with bytes for unknown characters), and of their special tokens those that are found wherever
their texts stand. All else is encoded as a whole, with offsets (backend.data.tokens).
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from tokenizers import models

from backend.data.rendering import ANSWER, QUESTION, Template
from backend.data.spans import RenderedText, Span

IGNORED = -100

Ids = list[int]
LabelledIds = tuple[Ids, Ids]  # ids and labels

# Steps before the model that treat each piece for itself.
STEPS = {
    *("Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Replace", "Prepend"),
    *("ByteLevel", "Split", "Digits", "Punctuation"),
}


class Place(NamedTuple):
    """An answer in the pieces of a text: it begins behind `head` in piece `first`, and ends with
    piece `last`, a special token."""

    first: int
    head: str
    last: int
    learn: bool


class Pieces:
    """Encodes texts in pieces."""

    def __init__(self, tokenizer: Any, cuts: dict[str, int]) -> None:
        """cuts: the special tokens at which a text is cut, with their ids."""
        self._backend = tokenizer.backend_tokenizer
        self._cuts = cuts
        self._cut = re.compile(f"({'|'.join(map(re.escape, cuts))})")
        self._unknown = tokenizer.unk_token_id
        added = tokenizer.added_tokens_decoder.values()
        self._swallowing = [token.content for token in added if token.rstrip]

    @classmethod
    def of(cls, tokenizer: Any, text: str) -> "Pieces | None":
        """An encoder that cuts at the special tokens of this text; None where the tokenizer, or
        none of these tokens, is fit for it."""
        if tokenizer.split_special_tokens or not _treats_pieces_alone(tokenizer.backend_tokenizer):
            return None
        ids: Ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        cuts = _find_cuts(tokenizer, set(ids))
        pieces = cls(tokenizer, cuts) if cuts else None
        if pieces is None or list(pieces.encode([RenderedText(text, [])], True)) != [(ids, ids)]:
            return None
        return pieces

    def encode(
        self, texts: Sequence[RenderedText], on_prompt: bool
    ) -> Iterator[LabelledIds | None]:
        """Yield ids and labels of each text; None where offsets are needed to find an answer.

        on_prompt: everything that is no answer is learned, too.
        """
        cut_texts = [self._cut.split(text.text) for text in texts]
        placed = [_place(parts, text.spans) for parts, text in zip(cut_texts, texts, strict=True)]
        heads = (place.head for places in placed for place in places or ())
        known = self._encode_each([*(part for parts in cut_texts for part in parts), *heads])
        for parts, places in zip(cut_texts, placed, strict=True):
            yield None if places is None else self._join(parts, places, known, on_prompt)

    def _encode_each(self, parts: Iterable[str]) -> dict[str, Ids]:
        """The ids of each different part."""
        known = {"": [], **{cut: [index] for cut, index in self._cuts.items()}}
        fresh = [part for part in dict.fromkeys(parts) if part not in known]
        self._backend.no_truncation()  # left over from earlier calls, as the next two
        self._backend.no_padding()
        self._backend.encode_special_tokens = False
        encodings = self._backend.encode_batch_fast(fresh, add_special_tokens=False)
        known.update((part, each.ids) for part, each in zip(fresh, encodings, strict=True))
        return known

    def _join(
        self, parts: list[str], places: list[Place], known: dict[str, Ids], on_prompt: bool
    ) -> LabelledIds | None:
        """Join the ids of the parts; None where an answer's first token is not certain."""
        ids: Ids = []
        begins = []
        for part in parts:
            begins.append(len(ids))
            ids += known[part]
        labels = list(ids) if on_prompt else [IGNORED] * len(ids)
        for place in places:
            head = known[place.head]
            if any(token in place.head for token in self._swallowing):
                return None  # which takes the white space that an answer begins with
            if known[parts[place.first]][: len(head)] != head or self._unknown in head:
                return None
            begin, end = begins[place.first] + len(head), begins[place.last] + 1
            labels[begin:end] = ids[begin:end] if place.learn else [IGNORED] * (end - begin)
        return ids, labels


_of_templates: WeakKeyDictionary[Template, Pieces | None] = WeakKeyDictionary()


def find_pieces(template: Template) -> Pieces | None:
    """The encoder for texts of a template; None where its tokenizer is not fit for it."""
    if not template.tokenizer.is_fast:
        return None
    if template not in _of_templates:
        text = template.write([QUESTION, ANSWER], None) + template.write([QUESTION], None, True)
        _of_templates[template] = Pieces.of(template.tokenizer, text)
    return _of_templates[template]


def _place(parts: list[str], spans: list[Span]) -> list[Place] | None:
    """The places of the answers in a text that is cut (each second part is a special token); None
    where an answer does not end with a special token, or begins within one."""
    ends = list(accumulate(map(len, parts)))
    places = []
    for span in spans:
        if span.start >= span.end:
            return None
        first, last = bisect_right(ends, span.start), bisect_left(ends, span.end)
        if last % 2 == 0 or ends[last] != span.end:
            return None
        head = parts[first][: span.start - ends[first]]
        if head and first % 2:
            return None
        places.append(Place(first, head, last, span.learn))
    return places


def _treats_pieces_alone(backend: Any) -> bool:
    """Whether ids of a piece do not depend on what is around it, and all of its text is in them."""
    model = backend.model
    if not isinstance(model, models.BPE) or model.dropout:
        return False
    steps = [
        step
        for part in (backend.normalizer, backend.pre_tokenizer)
        if part is not None
        for step in _list_steps(json.loads(part.__getstate__()))
    ]
    kinds = {step["type"] for step in steps}
    prefixed = any(step.get("add_prefix_space") for step in steps)
    return kinds <= STEPS and not prefixed and ("ByteLevel" in kinds or model.byte_fallback)


def _list_steps(step: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [*step.get("normalizers", ()), *step.get("pretokenizers", ())]
    return [step, *(each for part in inner for each in _list_steps(part))]


def _find_cuts(tokenizer: Any, ids: set[int]) -> dict[str, int]:
    """Those of these ids that are special tokens which no other token and no blank hides."""
    added = tokenizer.added_tokens_decoder
    others = {token.content for token in added.values() if not token.normalized}
    return {
        token.content: index
        for index, token in added.items()
        if index in ids
        and not (token.normalized or token.lstrip or token.rstrip or token.single_word)
        and not token.content[:1].isspace()
        and _is_never_hidden(token.content, others)
    }


def _is_never_hidden(cut: str, others: set[str]) -> bool:
    """Whether no other special token may take a part of this one: none holds it or ends as it
    begins."""
    begins = tuple(cut[:size] for size in range(1, len(cut)))
    return bool(cut) and not any(
        other.endswith(begins) or (cut in other and cut != other) for other in others
    )
