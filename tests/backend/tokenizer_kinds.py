"""Tokenizers of each kind that models come with, small and made on the spot.

What differs between them is where a text may be cut: see each maker.
"""

import functools
from collections.abc import Callable
from typing import Any

CORPUS = (
    "Blue.\n\nGreen.\n\n\nRed\n    indented\n        twice\n",
    "user\n\nassistant\n\n\n  two blanks,  and\t\ttabs 123 4567 's 't\n",
    "Human: hello\nAssistant: hello, how can I help you?\r\n\r\n### Response:\n\n",
    "今天天气很好。\n\n你好，世界！ été éè …\n",
    "<|im_start|>user\nQuestion<|im_end|>\n<|im_start|>assistant\nAnswer. [INST] x [/INST] y\n",
)
# https://huggingface.co/Qwen/Qwen2-7B tokenizer.json (Llama 3's differs in the digits: {1,3})
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PLAIN = ("<s>", "</s>", "<unk>")


def _raw_bytes(split: Any, trim: bool) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = split
    raw.decoder = decoders.ByteLevel()
    raw.post_processor = processors.ByteLevel(trim_offsets=trim)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=520, special_tokens=[*PLAIN], initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(CORPUS * 8, trainer)
    return raw


def gpt2() -> Any:
    """GPT-2, SmolLM2, Phi-2: of several line breaks the last goes with what follows them."""
    from tokenizers import pre_tokenizers

    return _raw_bytes(pre_tokenizers.ByteLevel(add_prefix_space=False), trim=True)


def qwen() -> Any:
    """Qwen 2 and 3, Llama 3: all line breaks that follow each other are one piece."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(QWEN_SPLIT), "isolated")
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _raw_bytes(pre_tokenizers.Sequence([split, rest]), trim=False)


def _raw_marks(normalizer: Any, split: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, trainers

    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if normalizer:
        raw.normalizer = normalizer
    if split:
        raw.pre_tokenizer = split
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*PLAIN, *bytes_], show_progress=False
    )
    raw.train_from_iterator(CORPUS * 8, trainer)
    return raw


def gemma() -> Any:
    """Gemma: the whole text is one piece, blanks are marks; line breaks join across everything."""
    from tokenizers import normalizers

    return _raw_marks(normalizers.Replace(" ", "▁"), None)


def llama2() -> Any:
    """Llama 2, Mistral 0.1: a blank is put before each text that stands behind a special token."""
    from tokenizers import normalizers

    put = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return _raw_marks(put, None)


def mistral() -> Any:
    """Mistral 0.3, Llama 2 not "legacy": a blank is put before the first text only."""
    from tokenizers import pre_tokenizers

    return _raw_marks(None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False))


KINDS: dict[str, Callable[[], Any]] = {
    "gpt2": gpt2,
    "qwen": qwen,
    "gemma": gemma,
    "llama2": llama2,
    "mistral": mistral,
    "phi3": gemma,
    "slow": gpt2,
}


@functools.cache
def _text_of(kind: str) -> str:
    return str(KINDS[kind]().to_str())


def make(kind: str, special: list[str], template: str | None) -> Any:
    """A tokenizer of this kind with these special tokens and this chat template.

    phi3: special tokens take the white space behind them. slow: one in Python, without offsets,
    which puts a blank before every text.
    """
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer.from_str(_text_of(kind))
    raw.add_special_tokens(
        [
            AddedToken(text, rstrip=kind == "phi3", normalized=False, special=True)
            for text in special
        ]
    )
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    if kind == "slow":
        made = slow_class()(special, **tokens)
    else:
        made = PreTrainedTokenizerFast(
            tokenizer_object=raw, clean_up_tokenization_spaces=False, **tokens
        )
    made.chat_template = template
    return made


@functools.cache
def slow_class() -> type:
    """A tokenizer written in Python: the longest known piece first, blanks as marks."""
    from transformers import PreTrainedTokenizer

    class Slow(PreTrainedTokenizer):
        def __init__(self, special: list[str], **options: Any) -> None:
            texts = [chr(code) for code in range(9, 0x250)] + ["\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁"]
            words = {word for text in CORPUS for word in text.replace(" ", "▁").split("\n")}
            pieces = [piece for word in words for piece in (word[:3], word[:6]) if piece]
            marked = [f"▁{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABGHQU"]
            every = dict.fromkeys([*PLAIN, *texts, *sorted(pieces), *marked, "😀"])
            self._ids = {piece: number for number, piece in enumerate(every)}
            self._pieces = list(self._ids)
            super().__init__(**options)
            self.add_tokens(list(special), special_tokens=True)

        @property
        def vocab_size(self) -> int:
            return len(self._ids)

        def get_vocab(self) -> dict[str, int]:
            return {**self._ids, **self.added_tokens_encoder}

        def _tokenize(self, text: str, **kwargs: Any) -> list[str]:
            rest, pieces = "▁" + text.replace(" ", "▁"), []
            while rest:
                fits = (n for n in range(6, 0, -1) if rest[:n] in self._ids)
                length = next(fits, 1)
                pieces.append(rest[:length])
                rest = rest[length:]
            return pieces

        def _convert_token_to_id(self, token: str) -> int:
            return self._ids.get(token, self._ids["<unk>"])

        def _convert_id_to_token(self, index: int) -> str:
            return self._pieces[index]

        def convert_tokens_to_string(self, tokens: list[str]) -> str:
            return "".join(tokens).replace("▁", " ")

    return Slow
