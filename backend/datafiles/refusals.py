"""Errors of data files, and refusal of those that must not be read: devices, pickled code, bombs.

Only file headers and the file system are looked at; a check takes milliseconds at any size.
"""

import base64
import stat
from pathlib import Path
from typing import Any

from backend.contract.registry.dataset_info import SUFFIXES, kind
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem
from backend.contract.texts.terminal_text import binary_size

SHOWN = 200  # characters of a line that a message shows


def file_error(code: str, file: Path, **params: str | int) -> DataError:
    """The DataError with the text `problem.<code>` for this file."""
    return DataError(Problem(code=code, params={"file": str(file), **params}))


def excerpt(text: str) -> str:
    """The text with unprintable characters escaped, cut to SHOWN characters."""
    line = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text[: SHOWN + 1])
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"


SPECIAL = ("/proc", "/sys", "/dev")  # looks regular and may never end
# Arrow's pickled types: old readers ran whatever was in them (CVE-2023-47248).
PICKLED = b"arrow.py_extension_type"
RATIO = 200  # decompressed bytes for each compressed byte; no honest text reaches it
HONEST = 64 * 1024**2  # unpacked bytes up to which any ratio is harmless
MOST = 1024**4  # decompressed bytes of one compressed text file
HEAD = 16 * 1024**2  # bytes of an Arrow schema that are looked at
ROWS_A_BYTE = 200
POINTER = b"version https://git-lfs.github.com/spec/v1"  # first line, by Git LFS's docs/spec.md


def refuse_special(path: Path) -> None:
    """Raises DataError unless `path` is a regular file (or a link to one) or a folder."""
    try:
        mode, real = path.stat().st_mode, path.resolve()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        raise file_error("data_file_missing", path) from None
    except OSError as error:
        raise file_error("file_unreadable", path, reason=error.strerror or str(error)) from None
    special = any(real.is_relative_to(root) for root in SPECIAL)
    if special or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise file_error("file_not_regular", path)


def refuse_pointer(file: Path) -> None:
    """Raises DataError where a file is a pointer of Git LFS instead of the data; OSError."""
    with open(file, "rb", opener=boundary.open_file) as stream:
        if stream.read(len(POINTER)) == POINTER:
            raise file_error("file_pointer", file)


def refuse_code(folder: Path) -> None:
    """Raises DataError where a folder brings a loading script: data is read here, never run."""
    script = next((each for each in sorted(folder.glob("*.py"))), None)
    if script is not None and not any(kind(each.name) in SUFFIXES for each in folder.iterdir()):
        raise file_error("folder_with_script", folder, script=script.name)


def refuse_pickled(file: Path, schema: bytes) -> None:
    """Raises DataError where an Arrow schema (as bytes) names a pickled Python type."""
    if PICKLED in schema:
        raise file_error("file_pickled", file)


def parquet_schema(metadata: Any) -> bytes:
    """The Arrow schema that a Parquet file carries; `metadata`: pyarrow's FileMetaData."""
    packed = (metadata.metadata or {}).get(b"ARROW:schema", b"")
    try:
        return base64.b64decode(packed)
    except ValueError:
        return b""


def arrow_schema(file: Path) -> bytes:
    """The schema message at the head of an Arrow file or stream."""
    with open(file, "rb", opener=boundary.open_file) as stream:
        start = stream.read(8)
        if start.startswith(b"ARROW1"):
            start = stream.read(8)
        size = int.from_bytes(start[4:8], "little") if start[:4] == b"\xff\xff\xff\xff" else 0
        return stream.read(min(size, HEAD))


def refuse_explosive(file: Path, rows: int, decompressed: int, limit: int) -> None:
    """Refuse a compressed file that would grow beyond reason. Raises DataError.

    `rows` and `decompressed` (bytes) are what its header says; `limit`: bytes allowed in any case.
    """
    size = file.stat().st_size
    if rows > size * ROWS_A_BYTE:
        raise file_error("file_explodes", file, limit=binary_size(limit), ratio=RATIO)
    refuse_dense(file, size, decompressed, limit)


def refuse_dense(file: Path, compressed: int, decompressed: int, limit: int = MOST) -> None:
    """Refuse a file that decompresses to more than `limit` bytes, or to more than HONEST bytes and
    RATIO times its compressed size, as only a decompression bomb does. Raises DataError."""
    if decompressed > limit or (
        decompressed > HONEST and decompressed > RATIO * max(1, compressed)
    ):
        raise file_error("file_explodes", file, limit=binary_size(limit), ratio=RATIO)
