"""Decode files as UTF-8; whatever is no text is refused, with its place, before it is parsed."""

import codecs
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from backend.contract.texts.problems import DataError
from backend.datafiles import values
from backend.datafiles.compressed import Watch, open_unpacked
from backend.datafiles.refusals import excerpt, file_error, refuse_pointer

HEAD = 4096
MAX_LINE = 256 * 1024 * 1024  # bytes of one row
BOM = codecs.BOM_UTF8

# First bytes of what people mistake for a data file.
FOREIGN = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "ZIP / XLSX / DOCX"),
    (b"\xd0\xcf\x11\xe0", "XLS / DOC"),
    (b"BZh", "BZIP2"),
    (b"\xfd7zXZ", "XZ"),
    (b"7z\xbc\xaf", "7Z"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "Arrow"),
    (b"SQLite format 3", "SQLite"),
    (b"\x7fELF", "ELF"),
)
WIDE = ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))
MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")


def refuse_foreign(file: Path) -> None:
    """Raises DataError where the content is not text, or is a web page, UTF-16 or a pointer of
    Git LFS."""
    refuse_pointer(file)
    with open_unpacked(file) as stream:
        head = stream.read(HEAD)
    for start, name in FOREIGN:
        if head.startswith(start):
            raise file_error("file_foreign", file, kind=name)
    for start, name in WIDE:
        if head.startswith(start):
            raise file_error("file_other_encoding", file, offset=0, encoding=name)
    if head.lstrip().lower().startswith(MARKUP):
        raise file_error("file_foreign", file, kind="HTML / XML")
    if b"\0" in head:
        halves = max(head[1::2].count(0), head[::2].count(0))
        if halves * 3 > len(head):  # most second bytes of UTF-16 are zero
            raise file_error(
                "file_other_encoding", file, offset=head.index(b"\0"), encoding="UTF-16"
            )
        raise file_error("file_foreign", file, kind="BINARY")


def starts_array(file: Path) -> bool:
    """Whether the first mark that is no blank is `[` (a file of blanks only: no)."""
    with open_unpacked(file) as stream:
        first = stream.read(len(BOM))
        rest = b"" if first == BOM else first
        while not rest.strip():
            rest = stream.read(HEAD)
            if not rest:
                return False
    return rest.lstrip().startswith(b"[")


class Mark(NamedTuple):
    """A place to begin reading at: bytes from the start of the (unpacked) file, and the line."""

    offset: int = 0
    line: int = 1


class Lines:
    """The lines of a file (ended by \\n only) from a mark on; a byte order mark is dropped.

    `mark` is the place of the next line.
    """

    def __init__(self, file: Path, start: Mark | None = None, watch: Watch | None = None) -> None:
        """watch: as in compressed.open_unpacked."""
        self.file = file
        self.mark = start or Mark()
        self._watch = watch

    def raw(self) -> Iterator[bytes]:
        """Each line as bytes. Raises DataError for a line without end."""
        with open_unpacked(self.file, self.mark.offset, self._watch) as stream:
            while raw := stream.readline(MAX_LINE):
                if len(raw) == MAX_LINE:
                    limit = MAX_LINE // 1024**2
                    raise file_error("line_too_long", self.file, line=self.mark.line, limit=limit)
                self.mark = Mark(self.mark.offset + len(raw), self.mark.line + 1)
                yield raw

    def __iter__(self) -> Iterator[str]:
        for raw in self.raw():
            offset = self.mark.offset - len(raw)
            if not offset and raw.startswith(BOM):
                raw, offset = raw[len(BOM) :], len(BOM)
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise not_utf8(self.file, raw, offset, error.start) from None


def not_utf8(file: Path, raw: bytes, offset: int, at: int) -> DataError:
    """The error for byte `at` of `raw`, which begins at `offset` of the file; knows GBK."""
    place: dict[str, str | int] = {"offset": offset + at, "byte": f"0x{raw[at]:02X}"}
    try:
        guess = raw.decode("gb18030")
    except UnicodeDecodeError:
        return file_error("data_not_utf8", file, **place)
    if any("\u4e00" <= mark <= "\u9fff" for mark in guess):
        return file_error("file_other_encoding", file, encoding="GBK", **place)
    return file_error("data_not_utf8", file, **place)


class NotANumber(ValueError):
    """NaN or Infinity, which JSON does not have."""


class DuplicateKey(ValueError):
    """A key that an object has twice, so that one of the two values would be lost unseen."""


def _refuse(word: str) -> None:
    raise NotANumber(word)


def _float(digits: str) -> float:
    number = values.number(digits)
    if math.isinf(number):  # 1e999
        raise NotANumber(digits[:40])
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateKey(next(name for name in row if names.count(name) > 1))
    return row


decoder = json.JSONDecoder(
    parse_constant=_refuse,
    parse_float=_float,
    object_pairs_hook=_unique,
)


def refusal_error(error: Exception, file: Path, line: int) -> DataError | None:
    """The DataError for a value that `decoder` refuses though it parses; None for other errors."""
    if isinstance(error, NotANumber):
        return file_error("data_nan", file, line=line, value=str(error))
    if isinstance(error, DuplicateKey):
        return file_error("data_duplicate_key", file, line=line, key=excerpt(str(error)))
    return None
