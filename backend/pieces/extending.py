"""New pieces put into the files of a tokenizer: behind the old ones, whose ids stay.

All else that the files say (normalizer, pre-tokenizer, special tokens, chat template) stays, too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from backend.contract.base.files import read_json
from backend.pieces.alphabet import Alphabet
from backend.pieces.learning import Learned

TOKENIZER, VOCAB, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
# Other writings of a vocabulary, which would be the old one.
OTHERS = ("*.model", "*.tiktoken", "tekken.json", "*.spm", "*.vocab", "*.bpe", "*.codes")

Ids = Mapping[str, int]


def write(folder: Path, learned: Learned, ids: Ids, added: Ids) -> list[str]:
    """Extend the tokenizer of a folder; `ids` are those of the new pieces, `added` those of the
    tokens that lie beside its vocabulary.

    Returns the names of the files that were removed: they hold a vocabulary in a format that is not
    written here, and programs that prefer them would read the old one.
    """
    content = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    _extend_content(content, learned, ids, added)
    _write(folder / TOKENIZER, content)
    if (folder / VOCAB).is_file():
        _write(folder / VOCAB, {**read_json(folder / VOCAB), **ids})
    if (folder / MERGES).is_file():
        old = (folder / MERGES).read_text(encoding="utf-8").rstrip("\n")
        lines = [old, *(" ".join(pair) for pair in learned.merges)]
        (folder / MERGES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    removed = sorted({path for pattern in OTHERS for path in folder.glob(pattern)})
    for path in removed:
        path.unlink()
    return [path.name for path in removed]


def extend(tokenizer: Tokenizer, learned: Learned, ids: Ids, added: Ids) -> Tokenizer:
    """The tokenizer with new pieces, in memory; arguments as of `write`."""
    content = json.loads(tokenizer.to_str())
    _extend_content(content, learned, ids, added)
    return Tokenizer.from_str(json.dumps(content))


def find_unread(tokenizer: Any, alphabet: Alphabet) -> str:
    """An added token of one character that the tokenizer does not read within a word, or "".

    It would be read there once it is written into the vocabulary (see _extend), since a character
    falls back to bytes only where the vocabulary lacks it. Llama 2's normalizer, which puts a
    blank before each text, has such tokens; tokenizers whose alphabet is bytes have none.
    """
    added = () if alphabet.byte_level else tokenizer.get_added_vocab().items()
    pieces = tokenizer.backend_tokenizer.model
    return next(
        (
            token
            for token, number in added
            if len(token) == 1
            and pieces.token_to_id(token) is None
            and number not in tokenizer(f"a{token}a", add_special_tokens=False)["input_ids"]
        ),
        "",
    )


def _extend_content(content: dict[str, Any], learned: Learned, ids: Ids, added: Ids) -> None:
    """New pieces and merges in the content of a tokenizer.json.

    Added tokens are written into its vocabulary, too: when the file is read (tokenizers 0.23), one
    that the vocabulary lacks gets the number of pieces as its id, which is another one now.
    """
    model = content["model"]
    model["vocab"] = {**added, **model["vocab"], **ids}
    as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
    model["merges"] += [" ".join(pair) if as_text else list(pair) for pair in learned.merges]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
