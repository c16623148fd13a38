"""How many tokens texts have before and after: what new pieces gain, and what they cost."""

from collections.abc import Sequence
from typing import Any

AT_ONCE = 256  # texts

Figures = dict[str, float]


def compare(before: Any, after: Any, texts: Sequence[str]) -> Figures:
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
