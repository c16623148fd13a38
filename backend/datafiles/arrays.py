"""A JSON array of objects, read through a window: a gigabyte costs no more memory than a row."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from backend.datafiles.compressed import Watch, open_unpacked
from backend.datafiles.refusals import excerpt, file_error
from backend.datafiles.text import BOM, MAX_LINE, Mark, decoder, not_utf8, refusal_error

WINDOW = 64 * 1024  # bytes read at a time; doubled while a row does not fit
CUT = 16  # an error this near to the window's end may only mean that the window cuts a word

blank = re.compile(r"[ \t\r\n]*")


def array_rows(file: Path, start: Mark | None = None) -> Iterator[tuple[Mark, int, dict[str, Any]]]:
    """Yield each object of the array with its place and the line on which it begins.

    start: the place of the object to begin with. Raises DataError for a value that is no object.
    """
    for mark, row in array_values(file, start):
        if not isinstance(row, dict):
            raise file_error("row_no_object", file, line=mark.line, text=excerpt(json.dumps(row)))
        yield mark, mark.line, row


def array_values(
    file: Path,
    start: Mark | None = None,
    reader: json.JSONDecoder = decoder,
    watch: Watch | None = None,
) -> Iterator[tuple[Mark, Any]]:
    """Yield each value of the array with its place; watch: as in compressed.open_unpacked."""
    with open_unpacked(file, start.offset if start else 0, watch) as stream:
        window = _Window(file, stream, start)
        if start is None:
            window.expect("[")
            if window.next_is("]"):
                window.end()
                return
        while True:
            window.skip()
            mark = window.mark()
            yield mark, window.value(reader)
            if window.next_is("]"):
                window.end()
                return
            window.expect(",")


class _Window:
    """The part of the file in memory; `text[at:]` is unread, `line` is the line of text[at]."""

    def __init__(self, file: Path, stream: BinaryIO, start: Mark | None) -> None:
        self.file = file
        self.stream = stream
        self.text = ""
        self.at = 0
        self.line = start.line if start else 1
        self._column = 0  # characters of this line before text[0]
        self._size = WINDOW
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._read = start.offset if start else 0  # bytes
        self._base = self._read  # bytes before text[0]
        self._place = 0, 0  # a place in text, and the bytes before it
        if start is None:
            self._skip_mark()

    def _skip_mark(self) -> None:
        """Pass over a byte order mark at the start of the file."""
        head = self.stream.peek(len(BOM))[: len(BOM)]  # type: ignore[attr-defined]
        if head == BOM:
            self._read = self._base = len(self.stream.read(len(BOM)))

    def skip(self) -> None:
        """Pass over blanks, reading on where the window ends."""
        while True:
            match = blank.match(self.text, self.at)
            assert match is not None
            self._forward(match.end())
            if self.at < len(self.text) or not self._more():
                return

    def mark(self) -> Mark:
        """The place of text[at]."""
        place, size = self._place
        size += len(self.text[place : self.at].encode())
        self._place = self.at, size
        return Mark(self._base + size, self.line)

    def next_is(self, mark: str) -> bool:
        """Whether `mark` comes next after blanks; if so, it is passed over."""
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self._forward(self.at + 1)
        return True

    def expect(self, mark: str) -> None:
        """Pass over `mark`. Raises DataError where something else, or nothing, comes next."""
        if not self.next_is(mark):
            reason = f"expected '{mark}'" if mark == "[" else "expected ',' or ']'"
            raise self._broken(self.at, reason)

    def end(self) -> None:
        """Raises DataError where anything but blanks follows the array."""
        self.skip()
        if self.at < len(self.text):
            raise self._broken(self.at, "text after the end of the list")

    def value(self, reader: json.JSONDecoder) -> Any:
        """The next JSON value."""
        while True:
            try:
                row, end = reader.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - CUT
                if cut and self._more():
                    continue
                raise self._broken(error.pos, error.msg) from None
            except (ValueError, RecursionError) as error:
                known = refusal_error(error, self.file, self.line)
                if known is not None:
                    raise known from None
                deep = isinstance(error, RecursionError)
                reason = "nested too deeply" if deep else "a number too long"
                raise self._broken(self.at, reason) from None
            self._forward(end)
            self._size = WINDOW
            return row

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        held = self._decode.getstate()[0]
        raw = self.stream.read(self._size)
        try:
            fresh = self._decode.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise not_utf8(self.file, held + raw, self._read - len(held), error.start) from None
        self._read += len(raw)
        if not raw:
            return False
        if len(self.text) - self.at > MAX_LINE:
            raise file_error("line_too_long", self.file, line=self.line, limit=MAX_LINE // 1024**2)
        start = self.text.rfind("\n", 0, self.at) + 1
        self._column = self.at - start if start else self._column + self.at
        self._base, self._place = self.mark().offset, (0, 0)
        self.text, self.at = self.text[self.at :] + fresh, 0
        self._size = max(WINDOW, 2 * len(self.text))
        return True

    def _forward(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _broken(self, place: int, reason: str) -> Exception:
        """The error at text[place], with its line's text; at the end of the file it is cut off."""
        if place >= len(self.text.rstrip()) or reason.startswith("Unterminated"):
            return file_error("data_truncated", self.file, line=self.line)
        start = self.text.rfind("\n", 0, place) + 1
        end = self.text.find("\n", place)
        line = self.line + self.text.count("\n", self.at, place)
        column = place - start + 1 + (0 if start else self._column)
        text = excerpt(self.text[start : end if end >= 0 else len(self.text)].strip())
        return file_error(
            "data_bad_json", self.file, line=line, column=column, reason=reason, text=text
        )
