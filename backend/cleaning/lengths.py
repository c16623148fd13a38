"""How many tokens a row has for the chosen model: counted by the code that trains."""

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
        """Tokens of each row, of a preference those of its longer side; None: training refuses it.

        A row that is learned as several examples counts as its longest one.
        """
        sizes: Lengths = [None] * len(items)
        asked = [(at, item.conversation) for at, item in enumerate(items) if item.conversation]
        if asked:
            for example in self._maker(asked).examples:
                place = example["place"]
                sizes[place] = max(sizes[place] or 0, self._length(example))
        return sizes

    def _length(self, example: Example) -> int:
        """Of judged answers the row's own, not the one that it is paired with."""
        own = self._maker.stage == "kto"
        return len(example["input_ids"]) if own else int(example["length"])
