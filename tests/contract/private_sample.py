"""A class that uses private members of a Trainer: what private_uses must see."""

from typing import Any

from transformers import Trainer


class Sample(Trainer):
    """Overrides one member, reads another, and has one of its own."""

    def _remove_unused_columns(self, *_: Any) -> Any:
        return self._train_batch_size

    def _own(self) -> None: ...
