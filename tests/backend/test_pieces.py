"""Texts in pieces have the ids and labels of whole texts, wherever special tokens stand in them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.data import pieces, tokens
from backend.data.pieces import Pieces
from backend.data.spans import RenderedText, Span
from tests.backend import tokenizer_kinds
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_tokens import load_template

SPECIALS = ["<|im_start|>", "<|im_end|>", "<|im_end|><x>", "<tool>", "|><|im"]
TEXT = "<|im_start|>user\nQuestion<|im_end|>\n<|im_start|>assistant\nAnswer<|im_end|>\n"
BITS = st.sampled_from(
    [
        *("<|im_start|>", "<|im_end|>", "<tool>", "<x>", "<|im_", "start|>", "|>", "</s>", "<s>"),
        *("assistant\n", "user\n", "\n", "\n\n", "  ", "\t", " a", "two blanks, ", "é", "e\u0301"),
        *("\u0301", "😀", "你好", "0", "123 4567", "'s", "\r\n", "", "x" * 40),
    ]
)
FIT = ["gpt2", "qwen", "gemma", "llama2"]


def make_fit(kind: str, *special: str) -> Any:
    return tokenizer_kinds.make(kind, ["<|im_start|>", "<|im_end|>", *special], CHATML)


def encode_both(tokenizer: Any, text: RenderedText, on_prompt: bool) -> tuple[Any, Any]:
    """The text in pieces (None where it needs offsets), and as a whole (None where apart)."""
    encoder = Pieces.of(tokenizer, TEXT)
    assert encoder is not None
    (in_pieces,) = encoder.encode([text], on_prompt)
    template = type("Named", (), {"tokenizer": tokenizer})
    policy = tokens.Policy(10**6, train_on_prompt=on_prompt)
    whole = dict(tokens._encode_whole({0: text}, template, policy))
    return in_pieces, whole[0][0] if whole else None


@pytest.mark.parametrize("kind", FIT)
@given(
    turns=st.lists(st.tuples(st.lists(BITS), st.lists(BITS, min_size=1)), min_size=1, max_size=3),
    learn=st.lists(st.booleans(), min_size=3, max_size=3),
    on_prompt=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_pieces_have_the_ids_and_labels_of_the_whole(
    kind: str, turns: list[Any], learn: list[bool], on_prompt: bool
) -> None:
    """Where both find the answers; pieces never find one that the whole text does not have."""
    text, spans = "", []
    for (asked, answer), learned in zip(turns, learn, strict=False):
        text += f"<|im_start|>user\n{''.join(asked)}<|im_end|>\n<|im_start|>assistant\n"
        start = len(text)
        text += "".join(answer) + "<|im_end|>"
        spans.append(Span(start, len(text), learned))
        text += "\n"
    in_pieces, whole = encode_both(make_fit(kind), RenderedText(text, spans), on_prompt)
    assert in_pieces is None or in_pieces == whole


@pytest.mark.parametrize("kind", ["gpt2", "qwen"])
def test_plain_answers_need_no_offsets(kind: str) -> None:
    start = TEXT.index("Answer")
    text = RenderedText(TEXT, [Span(start, TEXT.index("<|im_end|>", start) + len("<|im_end|>"))])
    in_pieces, whole = encode_both(make_fit(kind), text, False)
    assert in_pieces == whole
    assert in_pieces is not None
    assert sum(label >= 0 for label in in_pieces[1]) >= 2


def test_texts_that_rows_share_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_fit("gpt2")
    encoder = Pieces.of(tokenizer, TEXT)
    assert encoder is not None
    encoded: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer.backend_tokenizer, name)

        def encode_batch_fast(self, texts: list[str], **how: Any) -> Any:
            encoded.extend(texts)
            return tokenizer.backend_tokenizer.encode_batch_fast(texts, **how)

    monkeypatch.setattr(encoder, "_backend", Counting())
    head = "<|im_start|>system\nBe brief.<|im_end|>\n"
    texts = [RenderedText(f"{head}<|im_start|>user\n{n}<|im_end|>\n", []) for n in range(9)]
    assert len(list(encoder.encode(texts, False))) == 9
    assert sorted(encoded) == sorted(["system\nBe brief.", "\n", *(f"user\n{n}" for n in range(9))])


@pytest.mark.parametrize("kind", ["mistral", "slow"])
def test_a_tokenizer_that_looks_around_a_piece_is_not_taken(kind: str) -> None:
    """Mistral's puts a blank before the first text only; a slow one has rules that nobody sees."""
    template = load_template()
    template.tokenizer = make_fit(kind)
    assert pieces.find_pieces(template) is None


@pytest.mark.parametrize("other", ["<|im_end|><x>", "a<|im_end|>", "x<|im_", "|><|im_start|>"])
def test_a_special_token_that_another_may_hide_is_no_place_to_cut(other: str) -> None:
    """`<|im_end|>` with `<x>` behind it may be another token; a text in pieces would not see it."""
    encoder = Pieces.of(make_fit("gpt2", other), TEXT)
    before = Pieces.of(make_fit("gpt2"), TEXT)
    assert before is not None
    assert (encoder._cuts.keys() if encoder else set()) < before._cuts.keys()


def test_a_special_token_that_takes_blanks_is_no_place_to_cut() -> None:
    assert Pieces.of(make_fit("phi3"), TEXT) is None


def test_a_tokenizer_that_drops_pieces_by_chance_is_not_taken() -> None:
    tokenizer = make_tokenizer()
    assert Pieces.of(tokenizer, TEXT) is not None
    tokenizer.backend_tokenizer.model.dropout = 0.1
    assert Pieces.of(tokenizer, TEXT) is None


def test_cut_off_state_of_an_earlier_call_has_no_effect() -> None:
    tokenizer = make_fit("gpt2")
    encoder = Pieces.of(tokenizer, TEXT)
    assert encoder is not None
    tokenizer([TEXT, "a"], truncation=True, max_length=3, padding="max_length")
    ((ids, _),) = encoder.encode([RenderedText(TEXT, [])], False)
    assert ids == tokenizer(TEXT, add_special_tokens=False)["input_ids"]
