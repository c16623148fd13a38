"""What the pieces of a BPE tokenizer are made of: bytes, or characters that fall back to bytes.

A piece may begin or end within a character, as one byte of three. Which of them do is the same in
every text (UTF-8 marks the first byte of a character), so it is a property of the piece.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers.convert_slow_tokenizer import bytes_to_unicode

from backend.contract.texts.problems import ModelError, Problem

FIELD = "model_name_or_path"
CUT = "unexpected end of data"
FALLBACK = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Alphabet:
    """How texts become the smallest pieces of one tokenizer.

    byte_level: each byte is written as a printable character (GPT-2's table); else pieces are
    characters, and one that the vocabulary lacks is split into pieces like <0xE4>.
    """

    byte_level: bool

    def is_byte(self, piece: str) -> bool:
        """Whether a piece is one that a character falls back to."""
        return not self.byte_level and FALLBACK.fullmatch(piece) is not None

    def is_ascii_byte(self, piece: str) -> bool:
        """Whether a piece is the fallback byte of an ASCII character, such as Llama 2's line break.

        Such a byte is a whole character already: a new piece for the character would change how old
        texts are split and save no token.
        """
        return self.is_byte(piece) and self.bytes_of(piece).isascii()

    def bytes_of(self, piece: str) -> bytes:
        """The bytes of a text that a piece stands for."""
        if not self.byte_level:
            fallback = FALLBACK.fullmatch(piece)
            return bytes([int(fallback[1], 16)]) if fallback else piece.encode()
        if all(character in BYTES for character in piece):
            return bytes(BYTES[character] for character in piece)
        return piece.encode()

    def text_of(self, piece: str) -> str:
        """A piece as people read it, a mark for each part of a character."""
        return self.bytes_of(piece).decode(errors="replace").replace("▁", " ")

    def piece_of(self, content: bytes) -> str:
        """How the vocabulary writes the piece that stands for these bytes.

        Raises UnicodeDecodeError for a part of a character where pieces are characters.
        """
        if self.byte_level:
            return "".join(CHARACTERS[byte] for byte in content)
        return content.decode()


def of(tokenizer: Mapping[str, Any]) -> Alphabet:
    """The alphabet of the content of a tokenizer.json.

    Raises ModelError where its model is no BPE, or one whose pieces say where a word begins or ends
    in a way of their own: pieces cannot be put behind those without changing old texts.
    """
    model = tokenizer["model"]
    kind = str(model.get("type") or ("BPE" if "merges" in model else ""))
    marks = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    if kind != "BPE" or marks:
        params = {"kind": f"{kind} ({marks})" if marks else kind}
        raise ModelError(Problem(code="vocab_kind", field=FIELD, params=params))
    parts = [*_steps(tokenizer.get("pre_tokenizer")), *_steps(tokenizer.get("normalizer"))]
    if any(part.get("type") == "ByteLevel" for part in parts):
        return Alphabet(byte_level=True)
    if model.get("byte_fallback") and "<0x00>" in model["vocab"]:
        return Alphabet(byte_level=False)
    raise ModelError(Problem(code="vocab_no_bytes", field=FIELD))


def is_whole(content: bytes) -> bool | None:
    """Whether these bytes are characters from the first to the last; None where more bytes can make
    them so, False where nothing can."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return None if error.end == len(content) and error.reason == CUT else False
    return True


def _steps(part: Any) -> Iterable[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, those of sequences one by one."""
    if not isinstance(part, dict):
        return
    yield part
    for inner in (*part.get("pretokenizers", ()), *part.get("normalizers", ())):
        yield from _steps(inner)


CHARACTERS: dict[int, str] = bytes_to_unicode()  # type: ignore[no-untyped-call]  # GPT-2's table
BYTES = {character: byte for byte, character in CHARACTERS.items()}
