"""Encode texts as token ids and labels.

The whole text is tokenized at once and the tokenizer's own offsets say which tokens belong to an
answer, so the ids are those that any other program gets for the text.

Ids of an answer continue those of its prompt. A prompt is tokenized as one text, as every server
does. Where a tokenizer would join its end with the answer's begin (two line breaks, say) the answer
is tokenized apart, because in use the model continues ids that end with the prompt. Such an answer
in the middle of a conversation ends its example; the next example begins with the prompt of the
answers after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.data import pieces
from backend.data.pieces import Ids, LabelledIds
from backend.data.rendering import Template
from backend.data.spans import RenderedText

IGNORED = pieces.IGNORED
ANCHORS = ("\n", "a")  # what may stand in front of an answer while it is tokenized
NEAR = 8  # tokens or characters that are enough to see how a text goes on

Offsets = list[tuple[int, int]]  # of each token the characters that it covers: begin and end


class Heads:
    """The ids of prompt ends, to check whether the ids of a whole text begin with its prompt's.

    A text is tokenized part by part between its special tokens, so it is enough to compare the
    prompt's end, from its last special token on; different ends are few.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, Ids] = {}
        added = tokenizer.added_tokens_decoder
        self._special = {index for index, token in added.items() if not token.normalized}

    def begin(self, ids: Ids, until: int) -> int:
        """The index of the last special token before `until`, or 0."""
        while until > 0:
            until -= 1
            if ids[until] in self._special:
                return until
        return 0

    def learn(self, heads: Iterable[str]) -> None:
        """Tokenize the ends that are not known yet, all in one call."""
        fresh = [head for head in dict.fromkeys(heads) if head not in self._known]
        if fresh:
            self._known.update(zip(fresh, ids_of(self._tokenizer, fresh), strict=True))

    def __getitem__(self, head: str) -> Ids:
        return self._known[head]


def ids_of(tokenizer: Any, texts: Sequence[str]) -> list[Ids]:
    """The token ids of some texts, without special tokens of the tokenizer's own."""
    ids: list[Ids] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def encode_apart(tokenizer: Any, text: RenderedText, on_prompt: bool) -> Iterator[tuple[Ids, Ids]]:
    """Yield ids and labels of a text whose answers are tokenized apart from their prompts.

    on_prompt: everything that is no answer is learned, too.
    """

    def mask(ids: Ids, learn: bool) -> Ids:
        return ids if learn else [IGNORED] * len(ids)

    ids: Ids = []
    labels: Ids = []
    end = 0
    for span in text.spans:
        if not (span.learn or on_prompt):
            continue
        prompt, before = ids_of(tokenizer, [text.text[: span.start], text.text[:end]])
        if prompt[: len(ids)] != ids:
            yield ids, labels
            ids = before if prompt[: len(before)] == before else prompt
            labels = mask(ids, False)  # learned above
        answer = encode_continuation(tokenizer, prompt, text.text[span.start : span.end])
        labels = [*labels, *mask(prompt[len(ids) :], on_prompt), *mask(answer, span.learn)]
        ids, end = prompt + answer, span.end
    rest = encode_continuation(tokenizer, ids, text.text[end:])
    yield ids + rest, labels + mask(rest, on_prompt)


def encode_continuation(tokenizer: Any, before: Ids, text: str) -> Ids:
    """The ids of a text that follows these ids, also with a tokenizer that puts a blank before
    each text."""
    alone = ids_of(tokenizer, [text])[0] if text else []
    if not alone or not before:
        return alone
    near = before[-NEAR:]
    wanted = (tokenizer.decode(near) + text)[: len(tokenizer.decode(near)) + NEAR]
    for ids in _candidates(tokenizer, text, alone):
        if tokenizer.decode(near + ids[: 4 * NEAR]).startswith(wanted):
            return ids
    return alone


def _candidates(tokenizer: Any, text: str, alone: Ids) -> Iterator[Ids]:
    """Yield ids of the text alone, then of the text behind a character that is removed again."""
    yield alone
    for anchor in ANCHORS:
        head, both = ids_of(tokenizer, [anchor, anchor + text])
        if both[: len(head)] == head:
            yield both[len(head) :]


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
        return len(self.labels) - self.labels.count(IGNORED)


def encode(texts: list[RenderedText], template: Template, policy: Policy) -> list[Encoded]:
    """Encode each text with its labels, cut at the end to policy.cutoff_len tokens: one example,
    or several where a later prompt does not begin with the ids of the answers before it."""
    rows: dict[int, list[LabelledIds]] = {}
    for encode_some in (_encode_in_pieces, _encode_whole, _encode_apart):
        rest = {number: text for number, text in enumerate(texts) if number not in rows}
        if rest:
            rows.update(encode_some(rest, template, policy))
    return [
        cut(ids, labels, policy.cutoff_len, number)
        for number in range(len(texts))
        for ids, labels in rows[number]
    ]


Texts = dict[int, RenderedText]  # by their numbers
NumberedRows = Iterator[tuple[int, list[LabelledIds]]]


def _encode_in_pieces(texts: Texts, template: Template, policy: Policy) -> NumberedRows:
    """Yield the texts whose answers are found without offsets."""
    encoder = pieces.find_pieces(template)
    if encoder is None:
        return
    encoded = encoder.encode(list(texts.values()), policy.train_on_prompt)
    for number, row in zip(texts, encoded, strict=True):
        if row is not None:
            yield number, [row]


def _encode_apart(texts: Texts, template: Template, policy: Policy) -> NumberedRows:
    """Yield the texts whose answers are tokenized apart from their prompts."""
    for number, text in texts.items():
        yield number, list(encode_apart(template.tokenizer, text, policy.train_on_prompt))


def _encode_whole(texts: Texts, template: Template, policy: Policy) -> NumberedRows:
    """Yield the texts that can be tokenized at once."""
    tokenizer = template.tokenizer
    if not tokenizer.is_fast:
        return
    encodings = tokenizer(
        [text.text for text in texts.values()],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    heads = Heads(tokenizer)
    looked: list[tuple[int, LabelledIds, list[Head] | None]] = []
    each_text = zip(texts.items(), encodings["input_ids"], encodings["offset_mapping"], strict=True)
    for (number, text), ids, offsets in each_text:
        labels, places = _labels(text, ids, offsets, policy)
        looked.append((number, (ids, labels), _prompt_ends(text, places, (ids, offsets), heads)))
    heads.learn(head for _, _, each in looked for head, _ in each or ())
    for number, row, each in looked:
        if each is not None and all(heads[head] == ids for head, ids in each):
            yield number, [row]


def _labels(
    text: RenderedText, ids: list[int], offsets: Offsets, policy: Policy
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
    whole: tuple[list[int], Offsets],
    heads: Heads,
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


def cut(ids: Ids, labels: Ids, limit: int, text: int = 0) -> Encoded:
    """An example cut at the end to `limit` tokens; its first token, which has nothing before it to
    be learned from, is not learned."""
    labels = [IGNORED, *labels[1:limit]] if labels else []
    return Encoded(ids[:limit], labels[:limit], len(ids) > limit, text)
