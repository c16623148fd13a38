"""Where a prompt ends and its answer begins, in tokens: the answer's ids continue the prompt's.

A prompt is tokenised as one text, as every server does. Where a tokenizer would join its end with
the answer's begin (two line breaks, say) the answer is tokenised apart: the model has to find it
behind ids that end with the prompt. An answer in the middle of a conversation which that holds for
ends its example; the next one begins with the prompt of the answers after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backend.data.spans import Written

IGNORED = -100
ANCHORS = ("\n", "a")  # what may stand in front of an answer while it is tokenised
NEAR = 8  # tokens or characters that are enough to see how a text goes on

Ids = list[int]
Offsets = list[tuple[int, int]]  # of each token the characters that it covers: begin and end


class Heads:
    """Tells whether ids of a whole text begin with those of its prompt.

    A text is tokenised part by part between its special tokens, so it is enough to look at the
    prompt's end, from its last special token on; such ends are few.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, Ids] = {}
        added = tokenizer.added_tokens_decoder
        self._special = {index for index, token in added.items() if not token.normalized}

    def begin(self, ids: Ids, until: int) -> int:
        """The place of the last special token before `until`, else 0."""
        while until > 0:
            until -= 1
            if ids[until] in self._special:
                return until
        return 0

    def learn(self, heads: Iterable[str]) -> None:
        """Tokenise those ends that are not known yet, all at once."""
        fresh = [head for head in dict.fromkeys(heads) if head not in self._known]
        if fresh:
            self._known.update(zip(fresh, ids_of(self._tokenizer, fresh), strict=True))

    def __getitem__(self, head: str) -> Ids:
        return self._known[head]


def ids_of(tokenizer: Any, texts: Sequence[str]) -> list[Ids]:
    """The ids of some texts."""
    ids: list[Ids] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def apart(tokenizer: Any, text: Written, on_prompt: bool) -> Iterator[tuple[Ids, Ids]]:
    """Ids and labels of a text whose answers are tokenised behind their prompts.

    on_prompt: what is no answer is learned, too.
    """

    def masked(ids: Ids, learn: bool) -> Ids:
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
            labels = masked(ids, False)  # learned above
        answer = continued(tokenizer, prompt, text.text[span.start : span.end])
        labels = [*labels, *masked(prompt[len(ids) :], on_prompt), *masked(answer, span.learn)]
        ids, end = prompt + answer, span.end
    rest = continued(tokenizer, ids, text.text[end:])
    yield ids + rest, labels + masked(rest, on_prompt)


def continued(tokenizer: Any, before: Ids, text: str) -> Ids:
    """Ids of a text that stands behind these ids, where a tokenizer of its own accord puts a blank
    before each text."""
    alone = ids_of(tokenizer, [text])[0] if text else []
    if not alone or not before:
        return alone
    near = before[-NEAR:]
    wanted = (tokenizer.decode(near) + text)[: len(tokenizer.decode(near)) + NEAR]
    for ids in _ways(tokenizer, text, alone):
        if tokenizer.decode(near + ids[: 4 * NEAR]).startswith(wanted):
            return ids
    return alone


def _ways(tokenizer: Any, text: str, alone: Ids) -> Iterator[Ids]:
    """The text tokenised by itself, then behind some character that is taken away again."""
    yield alone
    for anchor in ANCHORS:
        head, both = ids_of(tokenizer, [anchor, anchor + text])
        if both[: len(head)] == head:
            yield both[len(head) :]
