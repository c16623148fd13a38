"""Pieces of text: joined they are the whole, and a stop text is never shown, however it is cut."""

import random
from typing import Any

import pytest

from backend.serving.decoding import Decoder, StopTexts

TEXTS = (
    "The capital of France is Paris.",
    " two  spaces, a tab\tand\nlines ",
    "今天天气很好，世界！",
    "mixed 你好 and 🙂🙃 emoji",
)


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_whole(tiny_tokenizer: Any, text: str) -> None:
    decoder = Decoder(tiny_tokenizer, skip_special_tokens=True)
    ids = tiny_tokenizer.encode(text, add_special_tokens=False)
    pieces = [decoder.add(token) for token in ids]
    assert "".join(pieces) + decoder.rest() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_random_bytes_lose_nothing(tiny_tokenizer: Any) -> None:
    """A tiny model writes broken UTF-8; at the end it is shown as the tokenizer shows it."""
    draw = random.Random(0)
    for _ in range(50):
        ids = [draw.randrange(3, len(tiny_tokenizer)) for _ in range(20)]
        decoder = Decoder(tiny_tokenizer, skip_special_tokens=True)
        text = "".join(decoder.add(token) for token in ids) + decoder.rest()
        assert text == tiny_tokenizer.decode(ids, skip_special_tokens=True)


def test_special_tokens_are_left_out_or_kept(tiny_tokenizer: Any) -> None:
    ids = tiny_tokenizer.encode("<|im_start|>hello", add_special_tokens=False)
    for skip, expected in ((True, "hello"), (False, "<|im_start|>hello")):
        decoder = Decoder(tiny_tokenizer, skip)
        assert "".join(decoder.add(token) for token in ids) + decoder.rest() == expected


def _through(stops: StopTexts, pieces: list[str]) -> str:
    shown = ""
    for piece in pieces:
        shown += stops.add(piece)
        if stops.is_ended:
            break
    return shown + stops.rest()


@pytest.mark.parametrize("stop", ["STOP", "S", "\n\n", "是的", "aab"])
def test_stop_text_is_never_shown_however_it_is_cut(stop: str) -> None:
    draw = random.Random(1)
    for _ in range(100):
        text = f"aaa SST ST\n {stop[:-1]} before" + stop + " after " + stop
        expected = text[: text.index(stop)]
        pieces, rest = [], text
        while rest:
            size = draw.randint(1, 4)
            pieces.append(rest[:size])
            rest = rest[size:]
        stops = StopTexts((stop, "never seen"))
        assert _through(stops, pieces) == expected
        assert stops.is_ended


def test_what_was_held_back_is_shown_at_the_end() -> None:
    stops = StopTexts(("STOP",))
    assert stops.add("go ST") == "go "
    assert stops.rest() == "ST"
    assert not stops.is_ended


def test_without_stop_texts_nothing_is_held_back() -> None:
    assert StopTexts(("",)).add("text") == "text"


def test_the_first_of_several_stop_texts_ends_it() -> None:
    assert _through(StopTexts(("cd", "b")), ["a", "b", "cd"]) == "a"
    assert _through(StopTexts(("xbc", "b")), ["x", "b", "c"]) == "x"
