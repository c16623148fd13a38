"""Count the tokens of rows for the chosen model, with the code that trains."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from backend.cleaning.rows import Item
from backend.contract.arguments.typed import Arguments
from backend.data import templates, tokens
from backend.data.examples import Example, Maker
from backend.model import load

Lengths = list[int | None]


class Counter:
    """Counts the tokens of rows: question and answer together, before any cut."""

    def __init__(self, values: Arguments) -> None:
        """values: arguments of train with a model. Raises ModelError, UsageError."""
        tokenizer = load.tokenizer(values)
        policy = replace(tokens.Policy.of(values), cutoff_len=sys.maxsize, train_on_prompt=True)
        stage = values.stage
        self._maker = Maker(stage, templates.load(values, tokenizer), policy)

    def __call__(self, items: Sequence[Item]) -> Lengths:
        """The tokens of each row; None where training refuses it.

        A preference counts as its longer side, a row with several examples as the longest one.
        """
        sizes: Lengths = [None] * len(items)
        asked = [(at, item.conversation) for at, item in enumerate(items) if item.conversation]
        if asked:
            for example in self._maker(asked).examples:
                place = example["place"]
                sizes[place] = max(sizes[place] or 0, self._length(example))
        return sizes

    def _length(self, example: Example) -> int:
        """The tokens of an example; in KTO without the answer that the row is paired with."""
        own = self._maker.stage == "kto"
        return len(example["input_ids"]) if own else int(example["length"])
