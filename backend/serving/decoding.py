"""Decode tokens piece by piece, without incomplete characters and parts of stop texts."""

from collections.abc import Sequence
from typing import Any

HALF_CHARACTER = "\ufffd"


class Decoder:
    """Gives the text that each new token adds; joined, it is what decoding all tokens gives.

    Bytes of an incomplete character are held back. Two offsets into the ids give the tokenizer some
    context on the left, so that a leading space is as in the whole text. `skip_special_tokens`
    leaves out special tokens, except those that are part of a text in `marks` (`[TOOL_CALLS]`),
    which the reader of the answer needs.
    """

    def __init__(
        self, tokenizer: Any, skip_special_tokens: bool, marks: Sequence[str] = ()
    ) -> None:
        self._tokenizer = tokenizer
        self._skipped = _special(tokenizer, marks) if skip_special_tokens else frozenset()
        self._ids: list[int] = []
        self._context = 0
        self._shown = 0

    def add(self, token: int) -> str:
        """Take a token; returns the new text, "" while a character is incomplete."""
        if token in self._skipped:
            return ""
        self._ids.append(token)
        text = self._new()
        if text.endswith(HALF_CHARACTER) or not text:
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return text

    def rest(self) -> str:
        """The held-back text, at the end of the answer."""
        return self._new()

    def _new(self) -> str:
        before = self._decode(self._ids[self._context : self._shown])
        return self._decode(self._ids[self._context :])[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


def _special(tokenizer: Any, marks: Sequence[str]) -> frozenset[int]:
    """The ids of the special tokens, without those that are part of a mark."""
    added = tokenizer.added_tokens_decoder.items()
    ids = {index for index, token in added if token.special} | set(tokenizer.all_special_ids)
    names = zip(ids, tokenizer.convert_ids_to_tokens(list(ids)), strict=True)
    return frozenset(index for index, name in names if not any(name in mark for mark in marks))


class StopTexts:
    """Ends a stream of text at the first of some stop texts, also when it spans several pieces."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._texts = tuple(text for text in texts if text)
        self._held = ""
        self.is_ended = False

    def add(self, piece: str) -> str:
        """Take a piece; returns text that may be shown, and sets `is_ended` after a stop text."""
        self._held += piece
        places = [at for at in (self._held.find(text) for text in self._texts) if at >= 0]
        if places:
            self.is_ended = True
            return self._release(min(places), drop=True)
        start = possible_start(self._held, self._texts)
        return self._release(len(self._held) - start, drop=False)

    def rest(self) -> str:
        """The text that was held back because a stop text might have begun there."""
        return "" if self.is_ended else self._release(len(self._held), drop=False)

    def _release(self, length: int, *, drop: bool) -> str:
        text, self._held = self._held[:length], "" if drop else self._held[length:]
        return text


def possible_start(held: str, texts: tuple[str, ...]) -> int:
    """The length of the longest end of the held text that begins one of the texts."""
    longest = max((len(text) - 1 for text in texts), default=0)
    for length in range(min(longest, len(held)), 0, -1):
        if any(text.startswith(held[-length:]) for text in texts):
            return length
    return 0
