"""Tokens as a client reads them: their text, their bytes, and their log-probabilities."""

from typing import Any, NamedTuple

from backend.model.generation import TokenLogprob

BROKEN = "\ufffd"


class Logprob(NamedTuple):
    """A token with its log-probability; `likeliest` are the likeliest tokens at its place.

    The first token of a prompt has no log-probability.
    """

    id: int
    content: bytes
    logprob: float | None
    likeliest: "tuple[Logprob, ...]" = ()

    @property
    def text(self) -> str:
        """The token's text; a part of a character as its bytes, the way OpenAI writes it."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in self.content)


class TokenTexts:
    """The bytes that the tokens of a tokenizer stand for, also those of a part of a character."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        # What is decoded alone loses the space before it, with some tokenizers.
        self._before = tokenizer.encode("a", add_special_tokens=False)[-1:]
        self._start = len(self._decode(self._before))
        self._known: dict[int, bytes] = {}

    def name(self, each: TokenLogprob) -> Logprob:
        """A token's log-probability with its text, and so for the likeliest at its place."""
        likeliest = tuple(Logprob(id_, self.content(id_), p) for id_, p in each.likeliest)
        return Logprob(each.token, self.content(each.token), each.logprob, likeliest)

    def without_logprob(self, token: int) -> Logprob:
        """A token of which nothing says how likely it is."""
        return Logprob(token, self.content(token), None)

    def content(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        if token not in self._known:
            self._known[token] = self._read(token)
        return self._known[token]

    def _read(self, token: int) -> bytes:
        text = self._decode([*self._before, token])[self._start :]
        if BROKEN not in text:
            return text.encode()
        from backend.vocabulary.alphabet import FALLBACK, Alphabet  # imports transformers

        piece = self._tokenizer.convert_ids_to_tokens(token)
        return Alphabet(byte_level=FALLBACK.fullmatch(piece) is None).bytes_of(piece)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text
