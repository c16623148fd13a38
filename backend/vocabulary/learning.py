"""New pieces on top of a BPE tokenizer: learned behind its own merges, and put into its files.

A text is split by the tokenizer as it is, and BPE goes on from there with the most frequent pairs.
So each new merge ranks behind all old ones, and a text can only get shorter by it (continued BPE:
Purason et al., "Teaching Old Tokenizers New Words", 2025). Characters that the tokenizer splits are
made whole first, so that no new piece ends within one: as in sentencepiece, those that cover
COVERAGE of what is split, yet with at most SHARE of all new pieces. The counting is done by the
trainer of `tokenizers`: each old piece is one character of its text.

In the files, new pieces stand behind the old ones, whose ids stay. All else that the files say
(normalizer, pre-tokenizer, special
tokens, chat template) stays, too.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from backend.contract.system.files import read_json
from backend.vocabulary.alphabet import Alphabet, is_whole

COVERAGE = 0.9995  # of the occurrences of split characters; sentencepiece's character_coverage
SHARE = 0.5
FEWEST = 2  # times that a piece comes in the corpus
LONGEST = 16  # old pieces or characters in a new one; sentencepiece's max_sentencepiece_length
FIRST = 0x20000  # code points from here to the last one are letters to the trainer, never blanks
AT_ONCE = 256  # texts
# Words of a tokenizer that takes whole texts, blanks and all, as one: as sentencepiece splits.
WORDS = r"▁*[\p{L}\p{M}]+|▁*\p{N}|▁*[^\p{L}\p{M}\p{N}▁]+|▁+"

Ids = tuple[int, ...]
Progress = Callable[[int], None]


@dataclass
class Learned:
    """New pieces in the order of their ids, each with the old pieces that it takes the place of,
    and new merges in the order of their ranks."""

    pieces: dict[str, Ids] = field(default_factory=dict)
    merges: dict[tuple[str, str], None] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """Texts as the tokenizer splits them: a line each, whose words are parted by blanks.

    Each old piece is one character. So is each unit, the fewest old pieces in a row that begin and
    end with a character (one to three pieces of a Chinese character, say): symbol -> its pieces.
    """

    lines: list[str]
    units: dict[str, Ids]


class Pieces:
    """The old pieces of a tokenizer: which bytes they stand for, and the symbol of each.

    The symbols of parts, pieces that begin or end within a character, come last.
    """

    def __init__(self, tokenizer: Tokenizer, alphabet: Alphabet) -> None:
        self.alphabet = alphabet
        self.known = tokenizer.get_vocab()
        unknown = getattr(tokenizer.model, "unk_token", None)
        added = {each.content for each in tokenizer.get_added_tokens_decoder().values()}
        apart = {piece for piece in added if not alphabet.is_byte(piece)} | {unknown}
        self.content = {
            number: alphabet.bytes_of(piece)
            for piece, number in self.known.items()
            if piece not in apart and not alphabet.is_ascii_byte(piece)
        }
        parts = {number for number, each in self.content.items() if not is_whole(each)}
        self.ids = [*sorted(self.content.keys() - parts), *sorted(parts)]
        self.symbols = {number: chr(FIRST + place) for place, number in enumerate(self.ids)}
        self.first_part = FIRST + len(self.ids) - len(parts)

    @property
    def part(self) -> str:
        """A regular expression for the symbol of a part."""
        last = FIRST + len(self.ids) - 1
        return f"[{chr(self.first_part)}-{chr(last)}]" if self.first_part <= last else r"(?!)"

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """The bytes that old pieces stand for together."""
        return b"".join(self.content[number] for number in ids)


class Units:
    """Runs of parts that are characters together, and a further symbol for each."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.symbols: dict[str, str] = {}
        self._seen: dict[str, str] = {}  # symbols of parts -> what takes their place, see _judged

    def replace(self, line: str) -> str:
        """The line with a symbol for each unit; what is part of no character parts words."""
        return re.sub(f"{self.pieces.part}+", self._replace_run, line)

    def _replace_run(self, match: re.Match[str]) -> str:
        run, begin, replaced = match[0], 0, []
        for end in range(1, len(run) + 1):
            parts = run[begin:end]
            place = self._seen.get(parts)
            if place is None:
                place = self._seen[parts] = self._symbol_of(parts)
            if place:
                replaced.append(place)
                begin = end
        return "".join(replaced) + (" " if begin < len(run) else "")

    def _symbol_of(self, parts: str) -> str:
        """The symbol of a unit; "" for the begin of one; a blank for what cannot become one."""
        whole = is_whole(self.pieces.bytes_of(_ids(parts, {}, self.pieces)))
        if not whole:
            return "" if whole is None else " "
        free = chr(FIRST + len(self.pieces.ids) + len(self.symbols))
        return self.symbols.setdefault(parts, free)


def read(tokenizer: Tokenizer, pieces: Pieces, texts: Iterable[str], progress: Progress) -> Corpus:
    """Split the texts; `progress` hears how many there were so far."""
    splitter = _splitter(tokenizer)
    units = Units(pieces)
    lines: list[str] = []
    left = iter(texts)
    while batch := list(islice(left, AT_ONCE)):
        for encoding in splitter.encode_batch(batch, add_special_tokens=False):
            lines.append(units.replace("".join(_symbols(encoding, pieces.symbols))))
        progress(len(lines))
    return Corpus(lines, {mark: _ids(unit, {}, pieces) for unit, mark in units.symbols.items()})


def learn(corpus: Corpus, pieces: Pieces, wanted: int) -> Learned:
    """The `wanted` most useful new pieces; fewer where the corpus has not so many."""
    learned = Learned()
    whole = _learn_units(corpus, pieces, wanted, learned)
    lines = [_blank_unknown(line, corpus.units.keys() - whole) for line in corpus.lines]
    requested = 0
    while True:
        requested += (wanted - len(learned.pieces)) * 5 // 4 + 16
        pairs, exhausted = _train_bpe(lines, requested)
        merged = Learned(dict(learned.pieces), dict(learned.merges))
        for pair in pairs:
            if len(merged.pieces) == wanted:
                break
            _append(merged, pieces, *(_ids(side, corpus.units, pieces) for side in pair))
        if len(merged.pieces) == wanted or exhausted:
            return merged


def _splitter(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer as it is; one that does not part words, with words parted."""
    splitter = Tokenizer.from_str(tokenizer.to_str())
    splitter.no_truncation()
    splitter.no_padding()
    if len(set(splitter.encode("a b", add_special_tokens=False).word_ids)) == 1:
        words = pre_tokenizers.Split(Regex(WORDS), "isolated")
        own = splitter.pre_tokenizer
        splitter.pre_tokenizer = pre_tokenizers.Sequence([own, words]) if own else words
    return splitter


def _symbols(encoding: Any, symbols: Mapping[int, str]) -> Iterator[str]:
    """The symbols of a text, a blank between words."""
    before = None
    for number, word in zip(encoding.ids, encoding.word_ids, strict=True):
        if word != before:
            yield " "
            before = word
        yield symbols.get(number, " ")


def _learn_units(corpus: Corpus, pieces: Pieces, wanted: int, learned: Learned) -> set[str]:
    """Make the most frequent units whole; returns their symbols."""
    counts: Counter[str] = Counter()
    for line in corpus.lines:
        counts.update(line)
    ranked = [each for each in counts.most_common() if each[0] in corpus.units]
    total = sum(count for _, count in ranked)
    whole: set[str] = set()
    covered = 0
    for symbol, count in ranked:
        ids = corpus.units[symbol]
        full = len(learned.pieces) + len(ids) - 1 > max(wanted * SHARE, 1)
        if full or count < FEWEST or covered >= COVERAGE * total:
            break
        if pieces.alphabet.byte_level:
            for end in range(1, len(ids)):
                _append(learned, pieces, ids[:end], ids[end : end + 1])
        else:  # BPE looks for a character in the vocabulary before it falls back to its bytes
            _add(learned, pieces, ids)
        whole.add(symbol)
        covered += count
    return whole


def _blank_unknown(line: str, unknown: set[str]) -> str:
    return line.translate(dict.fromkeys(map(ord, unknown), " "))


def _train_bpe(lines: Sequence[str], wanted: int) -> tuple[list[tuple[str, str]], bool]:
    """The first merges of symbols, and whether there are no more than these."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    symbols = set().union(*lines) - {" "}
    trainer = trainers.BpeTrainer(
        vocab_size=len(symbols) + wanted,
        min_frequency=FEWEST,
        max_token_length=LONGEST + 1,  # tokenizers 0.23 takes it for the first that is too long
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer, length=len(lines))
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges], len(merges) < wanted


def _ids(symbols: str, units: Mapping[str, Ids], pieces: Pieces) -> Ids:
    return tuple(
        number for each in symbols for number in units.get(each) or (pieces.ids[ord(each) - FIRST],)
    )


def _append(learned: Learned, pieces: Pieces, left: Ids, right: Ids) -> None:
    """A merge of what old pieces stand for, and its piece where that is new."""
    sides = (pieces.alphabet.piece_of(pieces.bytes_of(ids)) for ids in (left, right))
    merge = (next(sides), next(sides))
    learned.merges.setdefault(merge)
    _add(learned, pieces, left + right)


def _add(learned: Learned, pieces: Pieces, ids: Ids) -> None:
    piece = pieces.alphabet.piece_of(pieces.bytes_of(ids))
    if piece not in pieces.known:
        learned.pieces.setdefault(piece, ids)


TOKENIZER, VOCAB, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
# Other writings of a vocabulary, which would be the old one.
OTHERS = ("*.model", "*.tiktoken", "tekken.json", "*.spm", "*.vocab", "*.bpe", "*.codes")

PieceIds = Mapping[str, int]


def write(folder: Path, learned: Learned, ids: PieceIds, added: PieceIds) -> list[str]:
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


def extend(tokenizer: Tokenizer, learned: Learned, ids: PieceIds, added: PieceIds) -> Tokenizer:
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


def _extend_content(
    content: dict[str, Any], learned: Learned, ids: PieceIds, added: PieceIds
) -> None:
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
