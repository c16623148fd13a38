"""Open data files, unpacking .gz and .zst while they are read."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from backend.contract.registry.dataset_info import PACKED
from backend.contract.system import boundary
from backend.datafiles import refusals
from backend.datafiles.refusals import file_error

CHUNK = 1024 * 1024  # bytes
HEADER = 18  # bytes of the longest zstd frame header
PIECE = 1024  # compressed bytes read at a time: at zstd's densest they become 32 MB


Watch = Callable[[int], None]


@contextmanager
def open_unpacked(file: Path, offset: int = 0, watch: Watch | None = None) -> Iterator[BinaryIO]:
    """Open the file's content, unpacked, at byte `offset` of that content. Raises as unpack does.

    watch: called with the number of bytes of the file on disk that are read so far.
    """
    with io.BufferedReader(_Watched(file, watch)) as raw:
        if file.suffix.lower() not in PACKED:
            raw.seek(offset)
            yield raw
            return
        with unpack(file, raw) as content:
            yield _skip(content, offset)


@contextmanager
def unpack(file: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    """Open the content of an open file, unpacked where its name ends in .gz or .zst.

    Raises DataError where the file is not compressed so, is broken or cut, or decompresses beyond
    hostile.RATIO or hostile.MOST (at once where its header says so, else while reading).
    """
    packing = file.suffix.lower()
    if packing not in PACKED:
        yield raw
        return
    import zstandard

    if packing == ".zst":
        refusals.refuse_dense(file, file.stat().st_size, _read_announced_size(raw))
    try:
        content = gzip.GzipFile(fileobj=raw) if packing == ".gz" else _Zstandard(raw)
        with io.BufferedReader(_Bounded(file, content, raw), CHUNK) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise file_error("file_compressed_broken", file, reason=str(error)[:200]) from None


def _read_announced_size(raw: BinaryIO) -> int:
    """Read the unpacked size in bytes from the header of a zstd frame; 0 where it has none or is
    no header, which reading then reports. The file is put back to its start."""
    import zstandard

    try:
        size = int(zstandard.get_frame_parameters(raw.read(HEADER)).content_size)
    except zstandard.ZstdError:
        size = 0
    raw.seek(0)
    return 0 if size == zstandard.CONTENTSIZE_UNKNOWN else size


class _Watched(io.FileIO):
    """A file that reports how many of its bytes are read."""

    def __init__(self, file: Path, watch: Watch | None) -> None:
        super().__init__(file, opener=boundary.open_file)
        self._watch = watch

    def readinto(self, target: Any) -> int | None:
        """As io.FileIO."""
        count = super().readinto(target)
        if self._watch:
            self._watch(self.tell())
        return count


class _Bounded(io.RawIOBase):
    """Decompressed bytes; reading them fails where they are too many for the compressed ones."""

    def __init__(self, file: Path, content: Any, raw: BinaryIO) -> None:
        self._file = file
        self._content = content
        self._raw = raw
        self._decompressed = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, target: Any) -> int | None:
        """Raises DataError beyond the bounds."""
        count: int | None = self._content.readinto(target)
        self._decompressed += count or 0
        refusals.refuse_dense(self._file, self._raw.tell(), self._decompressed)
        return count


class _Zstandard(io.RawIOBase):
    """Frames unpacked one after the other; unlike zstandard's reader it notices a cut one."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame: Any = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        """Raises EOFError where the last frame is not whole."""
        while not self._ready:
            compressed = self._compressed or self._raw.read(PIECE)
            if not compressed:
                if self._frame is not None:
                    raise EOFError("the last frame is cut off")
                return 0
            self._decompress(compressed)
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _decompress(self, compressed: bytes) -> None:
        import zstandard

        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready, self._compressed = memoryview(self._frame.decompress(compressed)), b""
        if self._frame.eof:
            self._compressed, self._frame = self._frame.unused_data, None


def _skip(stream: BinaryIO, offset: int) -> BinaryIO:
    """Read and drop the first bytes of the stream."""
    while offset > 0:
        dropped = len(stream.read(min(offset, CHUNK)))
        offset = offset - dropped if dropped else 0
    return stream
