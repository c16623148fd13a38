"""The memory of a training step over time, as segments in the order in which they are computed.

Only the layers of each kind are known once; a step of the whole model is their segments as often
as there are such layers. Sizes are in bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HEAD = "head"  # behind the layers: the last norm, the output layer, the loss
START = "start"  # before the layers: the embeddings, the attention mask


@dataclass(frozen=True)
class Segment:
    """A stretch of a step.

    rise       the most that is in memory during it, above its beginning
    change     what is in memory at its end, above its beginning (negative: it frees memory)
    gradients  the part of `change` that is gradients of weights
    """

    rise: int
    change: int
    gradients: int = 0


@dataclass(frozen=True)
class Passes:
    """The segments of one part of the model; `backward` is None where no gradient gets there."""

    forward: Segment
    backward: Segment | None


@dataclass(frozen=True)
class Moment:
    """The fullest moment of a step: the activations, logits and gradients that are in memory."""

    activations: int = 0
    logits: int = 0
    gradients: int = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return self.activations + self.logits + self.gradients


def unfold(parts: Mapping[str, Passes], layers: Sequence[str]) -> list[tuple[str, Segment]]:
    """The segments of a step of the whole model, with the names of their parts.

    `layers` names the part of each layer, from the first to the last.
    """
    order = [START, *layers, HEAD]
    forward = [(name, parts[name].forward) for name in order]
    backward = [(name, parts[name].backward) for name in reversed(order)]
    return forward + [(name, each) for name, each in backward if each is not None]


def fullest(segments: Iterable[tuple[str, Segment]]) -> Moment:
    """The moment of a step at which the most is in memory."""
    best = Moment()
    level = gradients = logits = 0
    for name, segment in segments:
        own = min(segment.gradients, segment.rise)
        in_head = max(0, logits + (segment.rise - own if name == HEAD else 0))
        moment = Moment(
            activations=level + segment.rise - gradients - own - in_head,
            logits=in_head,
            gradients=gradients + own,
        )
        if moment.total > best.total:
            best = moment
        level += segment.change
        gradients += segment.gradients
        if name == HEAD:
            logits += segment.change - segment.gradients
    return best
