"""A tokenizer in GGUF: what llama.cpp needs to cut a text into the same tokens.

llama.cpp has no general pre-tokenizer: it knows some by name. The name is that of the pattern in
tokenizer.json, which is what the tokens depend on; a pattern without a name there is refused, since
every text would then be cut differently, without a word.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gguf

from backend.contract.texts.problems import ModelError, Problem
from backend.data.rendering import Template
from backend.export.gguf.architectures import FIELD

Json = Mapping[str, Any]
Type = gguf.TokenType

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
)
SLASHED = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
TEKKEN = CASED % ("", "") + r"|\p{N}" + SLASHED
GPT4O = CASED % (f"{CONTRACTIONS}?", f"{CONTRACTIONS}?") + r"|\p{N}{1,3}" + SLASHED
# By the pattern, and whether a piece that is a token as a whole is taken without merges.
SPLITS = {
    (QWEN2, False): "qwen2",
    (LLAMA3, True): "llama-bpe",
    (LLAMA3, False): "dbrx",
    (TEKKEN, True): "tekken",
    (GPT4O, False): "gpt-4o",
}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False}
NO_MERGE = -1e9  # the score of a token that no merge makes


@dataclass(frozen=True)
class Vocabulary:
    """The lists of the file: texts, types and, where llama.cpp reads them, scores or merges.

    model        "gpt2" is byte-level BPE, "llama" is SentencePiece's BPE
    pre          llama.cpp's name of the pre-tokenizer
    space_first  whether a blank is put before the text
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    space_first: bool = False


def vocabulary(tokenizer: Any, rows: int) -> Vocabulary:
    """The vocabulary of a model whose embeddings have `rows` rows.

    Raises ModelError where llama.cpp would cut texts differently.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _error(type(tokenizer).__name__)
    content = json.loads(backend.to_str())
    if content["model"]["type"] != "BPE":
        raise _error(content["model"]["type"])
    tokens, types = _tokens(content, rows)
    pairs = [
        pair if isinstance(pair, list) else pair.split(" ") for pair in content["model"]["merges"]
    ]
    if content["model"].get("byte_fallback"):
        ranks: dict[str, int] = {}
        for rank, pair in enumerate(pairs):
            ranks.setdefault("".join(pair), rank)
        scores = [-float(ranks[each]) if each in ranks else NO_MERGE for each in tokens]
        space_first = _puts_space_first(content)
        return Vocabulary("llama", "default", tokens, types, [], scores, space_first)
    merges = [" ".join(pair) for pair in pairs]
    return Vocabulary("gpt2", _pre_tokenizer(content), tokens, types, merges, [])


def write(writer: gguf.GGUFWriter, words: Vocabulary, template: Template) -> None:
    """Write the vocabulary, the special tokens and the chat template."""
    tokenizer = template.tokenizer
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.model == "llama":
        writer.add_token_scores(words.scores)
        writer.add_add_space_prefix(words.space_first)
    else:
        writer.add_token_merges(words.merges)
    end = tokenizer.eos_token_id
    ends = [each for each in (end, *template.answer_ends) if each is not None]
    if not ends:
        raise _error("-")
    writer.add_eos_token_id(ends[0])
    if ends[-1] != ends[0]:
        writer.add_eot_token_id(ends[-1])
    begin = tokenizer.bos_token_id
    # llama.cpp takes token 11 for both where they are missing, whatever it is.
    writer.add_bos_token_id(ends[0] if begin is None else begin)
    if tokenizer.unk_token_id is not None:
        writer.add_unk_token_id(tokenizer.unk_token_id)
    if tokenizer.pad_token_id is not None:
        writer.add_pad_token_id(tokenizer.pad_token_id)
    sample = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(begin is not None and sample[0] == begin)
    writer.add_add_eos_token(end is not None and sample[-1] == end)
    writer.add_chat_template(template.jinja)


def _tokens(content: Json, rows: int) -> tuple[list[str], list[int]]:
    """The text and the type of the token of each row of the embeddings; rows without a token are
    unused, and tokens without a row, which no model can read, are left out."""
    texts = {number: text for text, number in content["model"]["vocab"].items()}
    added = {each["id"]: each for each in content["added_tokens"]}
    texts |= {number: each["content"] for number, each in added.items()}
    unknown = content["model"].get("unk_token")
    in_bytes = content["model"].get("byte_fallback")
    tokens, types = [], []
    for number in range(rows):
        text = texts.get(number)
        tokens.append(f"[PAD{number}]" if text is None else text)
        if text is None:
            types.append(Type.UNUSED)
        elif text == unknown and in_bytes:
            types.append(Type.UNKNOWN)
        elif number in added:
            types.append(Type.CONTROL if added[number]["special"] else Type.USER_DEFINED)
        elif in_bytes and len(text) == 6 and text.startswith("<0x"):
            types.append(Type.BYTE)
        else:
            types.append(Type.NORMAL)
    return tokens, [int(each) for each in types]


def _pre_tokenizer(content: Json) -> str:
    """llama.cpp's name for the pre-tokenizer of a byte-level BPE."""
    if (content["normalizer"] or {"type": "NFC"})["type"] != "NFC":
        raise _error(content["normalizer"]["type"])
    parts = _parts(content["pre_tokenizer"], "pretokenizers")
    kinds = [part["type"] for part in parts]
    last = parts[-1] if parts else {}
    if any(last.get(key) != value for key, value in BYTE_LEVEL.items()):
        raise _error(kinds)
    if last.get("use_regex", True):
        if len(parts) == 1:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0]["individual_digits"]:
            return "smollm"
    elif kinds == ["Split", "ByteLevel"]:
        split = parts[0]
        key = (split["pattern"].get("Regex"), bool(content["model"].get("ignore_merges")))
        if key in SPLITS and split["behavior"] == "Isolated" and not split["invert"]:
            return SPLITS[key]
    raise _error(kinds)


def _puts_space_first(content: Json) -> bool:
    """Whether a blank is put before a text. Raises ModelError where blanks become something
    else than SentencePiece's marks."""
    normalizers = _parts(content["normalizer"], "normalizers")
    splits = _parts(content["pre_tokenizer"], "pretokenizers")
    kinds = [part["type"] for part in (*normalizers, *splits)]
    if kinds == ["Metaspace"]:
        return str(splits[0].get("prepend_scheme", "always")) != "never"
    if kinds in (["Replace"], ["Prepend", "Replace"], ["Replace", "Split"]):
        return bool(kinds[0] == "Prepend")
    raise _error(kinds)


def _parts(content: Json | None, key: str) -> list[Any]:
    """The parts of a sequence, or the one part, or none."""
    if content is None:
        return []
    return list(content[key]) if content["type"] == "Sequence" else [content]


def _error(kind: str | Sequence[str]) -> ModelError:
    kind = kind if isinstance(kind, str) else ", ".join(kind)
    return ModelError(Problem(code="gguf_tokenizer", field=FIELD, params={"kind": kind or "-"}))
