"""Files as they are, or unpacked while they are read: .gz and .zst."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from backend.contract.dataset_info import PACKED
from backend.datafiles.wrong import wrong

CHUNK = 1024 * 1024  # bytes
PIECE = 1024  # packed bytes unpacked at a time: at zstd's densest they become 32 MB


@contextmanager
def opened(file: Path, offset: int = 0) -> Iterator[BinaryIO]:
    """The file's content, unpacked, from byte `offset` of it on. Raises as unpacked does."""
    with file.open("rb") as raw:
        if file.suffix.lower() not in PACKED:
            raw.seek(offset)
            yield raw
            return
        with unpacked(file, raw) as content:
            yield _passed(content, offset)


@contextmanager
def unpacked(file: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """The content of an open file, unpacked where its name says that it is packed.

    Raises DataError where it is no such packed file, or a broken or cut one.
    """
    packing = file.suffix.lower()
    if packing not in PACKED:
        yield raw
        return
    import zstandard

    try:
        if packing == ".gz":
            with gzip.open(raw) as content:
                yield cast(BinaryIO, content)
        else:
            yield io.BufferedReader(_Zstandard(raw), CHUNK)
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise wrong("file_packed_broken", file, reason=str(error)[:200]) from None


class _Zstandard(io.RawIOBase):
    """Frames unpacked one after the other; unlike zstandard's reader it notices a cut one."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Raises EOFError where the last frame is not whole."""
        while not self._ready:
            packed = self._packed or self._raw.read(PIECE)
            if not packed:
                if self._frame is not None:
                    raise EOFError("the last frame is cut off")
                return 0
            self._unpack(packed)
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpack(self, packed: bytes) -> None:
        import zstandard

        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready, self._packed = memoryview(self._frame.decompress(packed)), b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None


def _passed(stream: BinaryIO, offset: int) -> BinaryIO:
    """The stream with its first bytes read and dropped."""
    while offset > 0:
        dropped = len(stream.read(min(offset, CHUNK)))
        offset = offset - dropped if dropped else 0
    return stream
