"""Tokenise answers so that their ids continue those of their prompts.

A prompt is tokenised as one text, as every server does. Where a tokenizer would join its end with
the answer's begin (two line breaks, say) the answer is tokenised apart, because in use the model
continues ids that end with the prompt. Such an answer in the middle of a conversation ends its
example; the next example begins with the prompt of the answers after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backend.data.spans import RenderedText

IGNORED = -100
ANCHORS = ("\n", "a")  # what may stand in front of an answer while it is tokenised
NEAR = 8  # tokens or characters that are enough to see how a text goes on

Ids = list[int]
Offsets = list[tuple[int, int]]  # of each token the characters that it covers: begin and end


class Heads:
    """The ids of prompt ends, to check whether the ids of a whole text begin with its prompt's.

    A text is tokenised part by part between its special tokens, so it is enough to compare the
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
        """Tokenise the ends that are not known yet, all in one call."""
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
    """Yield ids and labels of a text whose answers are tokenised apart from their prompts.

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
