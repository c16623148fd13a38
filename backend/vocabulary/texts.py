"""A corpus as texts of a handy size, and how many tokens they have before and after."""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

AT_ONCE = 256  # texts

Metrics = dict[str, float]


def compare(before: Any, after: Any, texts: Sequence[str]) -> Metrics:
    """Tokens of the same texts by two tokenizers, without special ones, as
    `texts, characters, tokens_before, tokens_after`, the characters per token of both, how many
    times fewer tokens there are (`gain`), and the share of texts whose ids are the same."""
    counts, same = [0, 0], 0
    for start in range(0, len(texts), AT_ONCE):
        batch = list(texts[start : start + AT_ONCE])
        ids = [each(batch, add_special_tokens=False)["input_ids"] for each in (before, after)]
        counts = [count + sum(map(len, rows)) for count, rows in zip(counts, ids, strict=True)]
        same += sum(old == new for old, new in zip(*ids, strict=True))
    characters = sum(map(len, texts))
    return {
        "texts": len(texts),
        "characters": characters,
        "tokens_before": counts[0],
        "tokens_after": counts[1],
        "characters_per_token_before": characters / max(counts[0], 1),
        "characters_per_token_after": characters / max(counts[1], 1),
        "gain": counts[0] / max(counts[1], 1),
        "unchanged": same / max(len(texts), 1),
    }


SIZE = 2000  # characters of a text, longer ones are cut at a line end where there is one
EVERY = 20  # of so many texts one is held out
MOST_HELD = 2000  # texts
SAMPLED = 2000  # texts
LIMIT = 100_000_000  # characters: what comes after is not read


class Corpus:
    """The texts to learn from, one at a time; meanwhile `held` fills with those to measure with,
    and `sample` with a random choice of the others.

    characters: how many were read so far; cut: whether there were more than LIMIT.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.held: list[str] = []
        self.sample: list[str] = []
        self.characters = 0
        self.cut = False
        self._texts = texts
        self._random = random.Random(0)

    def learning_texts(self) -> Iterator[str]:
        """The texts that are not held out."""
        chunks = (chunk for text in self._texts for chunk in chunks_of(text))
        for number, chunk in enumerate(chunks):
            if self.characters >= LIMIT:
                self.cut = True
                return
            self.characters += len(chunk)
            if number % EVERY == 1 and len(self.held) < MOST_HELD:
                self.held.append(chunk)
            else:
                self._draw(chunk, number)
                yield chunk

    def _draw(self, chunk: str, number: int) -> None:
        """Reservoir sampling: each of the texts so far is in the sample with the same chance."""
        if len(self.sample) < SAMPLED:
            self.sample.append(chunk)
        elif (place := self._random.randrange(number)) < SAMPLED:
            self.sample[place] = chunk


def chunks_of(text: str) -> Iterator[str]:
    """A text in parts of at most SIZE characters, which end where a line does if one can."""
    begin = 0
    while len(text) - begin > SIZE:
        end = text.rfind("\n", begin, begin + SIZE) + 1 or begin + SIZE
        yield text[begin:end]
        begin = end
    if begin < len(text):
        yield text[begin:]
