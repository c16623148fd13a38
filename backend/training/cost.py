"""The arithmetic of training steps, in floating-point operations, from their sizes.

A product with a weight takes two operations for each number of a token; the backward pass takes as
many for the gradients of the tokens, and as many for those of the weights that learn (Kaplan et
al., "Scaling Laws for Neural Language Models", 2020, section 2.1). Attention takes as many again
for each pair of a token and one before it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.contract.arguments.typed import Arguments
from backend.model import adapters
from backend.training.batches import IGNORED
from backend.training.course import Course

SAMPLE = 200  # rows whose labels are counted
MORE_PASSES = {"dpo": 1, "kto": 3}  # forward passes of the reference, and of mismatched answers

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ModelShape:
    """Numbers of weights (all of them, those of the layers, those that learn), and the sizes that
    attention and the output layer go by."""

    all: int
    body: int
    learned: int
    hidden: int
    layers: int
    vocabulary: int

    @classmethod
    def of(cls, config: Any, learned: int, whole: int) -> "ModelShape":
        """The shape of a model with this configuration."""
        text = config.get_text_config()
        outside = text.vocab_size * text.hidden_size * (1 if text.tie_word_embeddings else 2)
        return cls(
            whole,
            max(1, whole - outside),
            learned,
            text.hidden_size,
            text.num_hidden_layers,
            text.vocab_size,
        )


@dataclass(frozen=True)
class Costs:
    """What the steps of a training take.

    batches     passes of a batch through the model, for each step
    operations  floating-point operations, for each step; 0 where they are not known before
    token       operations of a token, without attention
    evaluation  the share of the operations of as many rows that an evaluation takes
    """

    batches: Floats
    operations: Floats
    token: float
    evaluation: float


def count(course: Course, values: Arguments, shape: ModelShape, learned: float) -> Costs:
    """The costs of the steps of a course; `learned` is the share of its tokens with a label."""
    sizes = course.sizes
    if sizes is None:
        return Costs(np.ones(course.steps), np.zeros(course.steps), 0.0, 0.0)
    forward = 1 + MORE_PASSES.get(values.stage, 0)
    again = int(adapters.wants_checkpointing(values))
    passes = forward + again + 1
    attention = 2 * shape.hidden * shape.layers * sizes.squares
    output = learned * shape.vocabulary * shape.hidden
    token = (
        2 * shape.body * passes + 2 * min(shape.learned, shape.body) + 2 * output * (forward + 1)
    )
    operations = sizes.padded * token + attention * (passes + 1)
    share = 2 * (shape.body + output) / token
    return Costs(sizes.batches.astype(np.float64), operations.astype(np.float64), token, share)


def share_learned(rows: Any) -> float:
    """The share of the tokens that have a label, in the first rows; 1 where rows have no labels."""
    names = [name for name in ("labels", "chosen_labels") if name in rows.column_names]
    if not names:
        return 1.0
    labels = [
        label for row in rows.select(range(min(SAMPLE, len(rows))))[names[0]] for label in row
    ]
    return sum(label != IGNORED for label in labels) / max(1, len(labels))
