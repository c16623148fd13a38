"""How many rows data sets have; a file is read once, until it changes, and a large one never."""

from functools import lru_cache
from itertools import islice
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import TuneboardError
from backend.datafiles import reading

LARGEST = 32 * 1024 * 1024  # bytes of files whose rows are counted while somebody waits

Stamps = tuple[tuple[int, int], ...]

_counts: dict[tuple[Path, Stamps], int] = {}


def count_all(place: Path) -> int | None:
    """All rows of a place; None where only reading a large file would tell, for now.

    Raises TuneboardError, OSError.
    """
    key = (place, _stamp(place))
    known = _counts.get(key)
    if known is None:
        known = reading.count(place)
    if known is not None:
        _counts[key] = known
    return known


def count_learned(values: Arguments, most: int) -> int | None:
    """The rows that a training learns from in each epoch, at most `most` of each data set.

    None where little reading does not tell: for sets on a hub, large files, streams, rows that are
    packed or mixed otherwise than one set after the other.
    """
    is_joined = values.mix_strategy == "concat" and not (values.packing or values.neat_packing)
    if values.streaming or values.tokenized_path or not is_joined:
        return None
    names = dataset_info.names(values.dataset)
    counts = [_count_set(name, values, most) for name in names]
    known = [count for count in counts if count is not None]
    if not counts or len(known) < len(counts):
        return None
    total = sum(known)
    if not values.val_size or values.eval_dataset:
        return total
    held = max(1, round(values.val_size * total)) if values.val_size < 1 else int(values.val_size)
    return max(0, total - held)


def _count_set(name: str, values: Arguments, most: int) -> int | None:
    """The rows of one set that are used."""
    try:
        entry = dataset_info.find(name, values.dataset_dir)
        if entry.path is None:
            return None
        count = _count_first(entry.path, _stamp(entry.path), most)
    except (TuneboardError, OSError):
        return None
    limits = [each for each in (entry.num_samples, values.max_samples) if each is not None]
    return None if count is None else min(count, *limits, most)


def _stamp(place: Path) -> Stamps:
    """What changes with the files of a place."""
    stats = [part.stat() for part in reading.files(place)]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in stats)


@lru_cache(4096)
def _count_first(place: Path, stamps: Stamps, most: int) -> int | None:
    """The rows of a place, at most `most`; None where its files are large or cannot be read."""
    if sum(size for _, size in stamps) > LARGEST:
        return None
    try:
        return sum(1 for _ in islice(reading.rows(place), most))
    except TuneboardError:
        return None
