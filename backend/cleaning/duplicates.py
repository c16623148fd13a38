"""Find exact and near duplicates; only hashes and signatures of the rows are held in memory.

Near: MinHash signatures (Broder, "On the resemblance and containment of documents", 1997) of the
overlapping pieces of five characters of the texts, found again by bands (Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", chapter 3). The share of equal values estimates the Jaccard
similarity of two texts.
"""

import hashlib
import json
from array import array

import numpy as np
from datasketch import MinHash, MinHashLSH

from backend.cleaning.rows import Item, dialogue_text

PERMUTATIONS = 128
PIECE = 5  # characters; good for languages with and without spaces
CHUNK = 8192  # pieces that are hashed at once
RECALL = (0.1, 0.9)  # weight of needless comparisons, and of duplicates that are missed
STRICTEST = 0.9  # threshold that rows are looked up for; above it they are only compared
# Memory a row, about: 512 bytes for the signature, 100 for each band.

Signature = np.ndarray[tuple[int], np.dtype[np.uint32]]


def fingerprint(item: Item) -> bytes:
    """A hash (16 bytes) of the row's conversation, or of the row itself where it has none."""
    conversation = item.conversation
    seen = item.row if conversation is None else vars(conversation)
    text = json.dumps(seen, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def signature(item: Item) -> Signature | None:
    """The MinHash signature of what is asked and answered, shape (PERMUTATIONS,).

    Case and white space do not count. None where there is no text.
    """
    text = " ".join(dialogue_text(item).casefold().split())
    if not text:
        return None
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = np.pad(codes, (0, max(0, PIECE - len(codes))))
    pieces = np.lib.stride_tricks.sliding_window_view(codes, PIECE)
    hashes = np.unique(pieces @ _POWERS).tolist()
    made = _EMPTY.copy()
    for start in range(0, len(hashes), CHUNK):
        made.update_batch(hashes[start : start + CHUNK])
    values: Signature = made.hashvalues
    return values


class Index:
    """An index of signatures, in which the most similar earlier row is found."""

    def __init__(self, threshold: float) -> None:
        """threshold: Jaccard similarity, 0 to 1, from which on texts are near duplicates."""
        shape = MinHashLSH(
            threshold=min(threshold, STRICTEST), num_perm=PERMUTATIONS, weights=RECALL
        )
        self._bands, self._width = int(shape.b), int(shape.r)
        self._equal = threshold * PERMUTATIONS
        self._signatures = np.empty((1024, PERMUTATIONS), np.uint32)
        self._numbers = array("q")
        self._last: dict[int, int] = {}  # bucket -> the last row in it
        self._before = array("q")  # row * bands + band -> the row before it in the bucket, or -1

    def similar(self, made: Signature) -> int | None:
        """The number of the most similar row within the threshold; None where there is none."""
        rows: set[int] = set()
        for band, bucket in enumerate(self._buckets(made)):
            row = self._last.get(bucket, -1)
            while row >= 0:
                rows.add(row)
                row = self._before[row * self._bands + band]
        if not rows:
            return None
        candidates = sorted(rows)
        equal = (self._signatures[candidates] == made).sum(axis=1)
        best = int(equal.argmax())
        return self._numbers[candidates[best]] if equal[best] >= self._equal else None

    def add(self, made: Signature, number: int) -> None:
        """Add the signature of a row to the index."""
        row = len(self._numbers)
        if row == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[row] = made
        self._numbers.append(number)
        for bucket in self._buckets(made):
            self._before.append(self._last.get(bucket, -1))
            self._last[bucket] = row

    def _buckets(self, made: Signature) -> list[int]:
        """The hash of each band of a signature."""
        size = self._width * made.itemsize
        content = made.tobytes()
        slices = (content[band * size : (band + 1) * size] for band in range(self._bands))
        return [hash(each) for each in enumerate(slices)]


_POWERS = np.array([0x01000193**power % 2**32 for power in range(PIECE)], np.uint32)
_EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
