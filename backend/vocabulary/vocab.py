"""New words: pieces that the vocabulary lacks, learned from a corpus, in a model that is ready for
pre-training.

The folder appears at the end, whole; a failure, a stop or a full disk leaves nothing of it.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import output, resource_folder
from backend.contract.models import template_names
from backend.contract.models.model_folder import CONFIG
from backend.contract.registry import dataset_info
from backend.contract.registry.dataset_info import names
from backend.contract.runs import run_folder
from backend.contract.system.files import read_json, write_atomic
from backend.contract.texts.problems import DataError, ModelError, Params, Problem
from backend.data import sources
from backend.datafiles.detect import STAGES
from backend.datafiles.entering import kind_of_set
from backend.datafiles.formats import Conversation
from backend.export.new_folder import new_model_folder, require_free, require_room
from backend.model import load, saved_weights, side_files, token_rows
from backend.model import vocabulary as tokens
from backend.model.architecture import Architecture
from backend.model.tensors import dtype_of
from backend.running.report import Report
from backend.vocabulary import alphabet, learning, texts
from backend.vocabulary.learning import Learned

FIELD = "model_name_or_path"
FOR_KNOWN = "known_dataset"
REPORT = side_files.VOCAB_REPORT
KNOWN = ("pretrain_en.json", "general_en.json")  # of data/, shipped: what most models know
KNOWN_MOST = 2000  # texts
MEASURED, MOST_MEASURED = 120, 24  # characters and texts whose perplexity is measured
SHOWN = 100  # new pieces in the report
TOKEN_ID = re.compile(r".*token_(id|ids|index)")  # what config.json calls single tokens


@dataclass(frozen=True)
class Job:
    """What is extended, and where the result goes; `known` are the old pieces."""

    values: Arguments
    report: Report
    base: Path
    architecture: Architecture
    tokenizer: Any
    known: learning.Pieces
    target: Path

    @property
    def size(self) -> int:
        """Bytes of the weights that will be written, but for the new rows."""
        return sum(tensor.size for tensor in self.architecture.tensors.values())


def run(values: Arguments, folder: Path) -> None:
    """Extend the vocabulary as `values` say, into export_dir; `folder` is the run's own.

    Raises TuneboardError for what the person can act on, and Stopped.
    """
    began = time.monotonic()
    report = Report(folder)
    report.phase("loading")
    job = _job(values, report)
    with new_model_folder(values, job.target, job.size) as made:
        metrics = _build_model(job, made)
        metrics["seconds"] = time.monotonic() - began
        write_atomic(made / REPORT, json.dumps(metrics, indent=2, ensure_ascii=False))
    write_atomic(folder / run_folder.RESULTS, json.dumps(metrics, indent=2, ensure_ascii=False))
    _report_metrics(metrics, job)


def _job(values: Arguments, report: Report) -> Job:
    """Everything that can be refused before the corpus is read."""
    require_free(values)
    base = load.base_folder(values)
    if load.adapter_folders(values):
        raise ModelError(Problem(code="vocab_adapter", field=FIELD))
    if read_json(base / CONFIG).get("quantization_config"):
        params = {"path": str(base)}
        raise ModelError(Problem(code="vocab_quantized", field=FIELD, params=params))
    tokenizer = load.tokenizer(values)
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        params = {"kind": type(tokenizer).__name__}
        raise ModelError(Problem(code="vocab_kind", field=FIELD, params=params))
    known = learning.Pieces(fast, alphabet.of(json.loads(fast.to_str())))
    if unread := learning.find_unread(tokenizer, known.alphabet):
        raise ModelError(Problem(code="vocab_unread", field=FIELD, params={"piece": unread}))
    target = output(str(values.export_dir))
    job = Job(values, report, base, load.base_architecture(values), tokenizer, known, target)
    require_room(target, job.size)
    return job


def _build_model(job: Job, made: Path) -> dict[str, Any]:
    """Fill the folder `made`; returns the report."""
    corpus = texts.Corpus(_texts(job, names(job.values.dataset), "dataset"))
    learned = _learn(job, corpus)
    first = _first_id(job)
    ids = {piece: first + number for number, piece in enumerate(learned.pieces)}
    perplexities = _write_weights(job, made, corpus, learned, ids)
    job.report.phase("saving")
    _write_tokenizer(job, made, learned, ids)
    return _measure(job, made, corpus, learned) | perplexities


def _texts(job: Job, sets: Sequence[str], argument: str) -> Iterator[str]:
    """Every text of the sets that an argument names, of whatever stage they are.

    Raises DataError as sources.Source does. Rows left out are reported at the end.
    """
    account = sources.Account()
    for name in sets:
        entry = dataset_info.find(name, job.values.dataset_dir, argument)
        stage = STAGES[kind_of_set(entry)] if entry.path else "pt"
        source = sources.Source(entry, job.values.replace(stage=stage), argument)
        for conversation, _, _ in source.conversations(account):
            yield _text(conversation)
    for notice in account.notices():
        job.report.notice(notice)


def _text(conversation: Conversation) -> str:
    messages = [
        *conversation.messages,
        *(each for each in (conversation.chosen, conversation.rejected) if each),
    ]
    parts = [str(message["content"]) for message in messages]
    return "\n".join(part for part in [*parts, conversation.text] if part)


def _learn(job: Job, corpus: texts.Corpus) -> Learned:
    """The new pieces, as many as wanted. Raises DataError where the corpus has fewer."""
    job.report.phase("tokenizing")
    total = job.values.max_samples or 0
    read = learning.read(
        job.tokenizer.backend_tokenizer,
        job.known,
        corpus.learning_texts(),
        lambda done: job.report.progress(done, total),
    )
    if not corpus.held:
        raise DataError(Problem(code="vocab_corpus_small", field="dataset"))
    if corpus.cut:
        params: Params = {"count": corpus.characters}
        job.report.notice(Problem(code="vocab_corpus_cut", params=params, notice=True))
    wanted = job.values.new_pieces
    learned = learning.learn(read, job.known, wanted)
    if len(learned.pieces) < wanted:
        params = {"count": len(learned.pieces), "wanted": wanted, "fewest": learning.FEWEST}
        if not learned.pieces:
            raise DataError(Problem(code="vocab_nothing_new", field="dataset", params=params))
        raise DataError(Problem(code="vocab_too_few", field="new_pieces", params=params))
    return learned


def _first_id(job: Job) -> int:
    """The first free id: behind every token, and behind those that only config.json knows."""
    rows = _rows(job, job.base)
    named = (each for each in _token_ids(read_json(job.base / CONFIG)) if each < rows)
    last: int = max([*job.tokenizer.get_vocab().values(), *named])
    return last + 1


def _rows(job: Job, folder: Path) -> int:
    """How many rows the embeddings of a model folder have."""
    config = AutoConfig.from_pretrained(folder, **_trust(job))
    return int(config.get_text_config().vocab_size)


def _token_ids(config: Any) -> Iterator[int]:
    for key, value in config.items() if isinstance(config, dict) else ():
        if TOKEN_ID.fullmatch(key):
            numbers = value if isinstance(value, list) else [value]
            yield from (each for each in numbers if isinstance(each, int))
        else:
            yield from _token_ids(value)


def _write_weights(
    job: Job, made: Path, corpus: texts.Corpus, learned: Learned, ids: Mapping[str, int]
) -> dict[str, Any]:
    """Weights and config.json, each tensor in its own dtype; the whole model is in memory.

    Returns what the fit of the new rows has brought, see _fit.
    """
    job.report.phase("loading")
    dtype = dtype_of(job.architecture.tensors)
    model = load.base_model(job.values, dtype=dtype)
    pieces = token_rows.Pieces({ids[each]: old for each, old in learned.pieces.items()})
    fitted = {}
    if job.values.fit_steps:
        fitted = _fit(job, model, pieces, corpus, _extend_tokenizer(job, learned, ids))
    else:
        tokens.append(model, pieces.old)
    model.config.dtype = dtype
    # the base's own is written with the side files
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    saved_weights.save(model, made)
    return fitted


def _fit(
    job: Job, model: Any, pieces: token_rows.Pieces, corpus: texts.Corpus, new_tokenizer: Tokenizer
) -> dict[str, float]:
    """Put new rows into the model and fit them on texts of the corpus.

    Returns the perplexity of a character of held-out texts, before with the old pieces and after
    with the new ones.
    """
    job.report.phase("fitting")
    sample = [_ids(new_tokenizer, text) for text in corpus.sample]
    with token_rows.place(model):
        before = _perplexity(model, job.tokenizer.backend_tokenizer, corpus.held)
        tokens.append(model, pieces.old)
        token_rows.fit(model, pieces, sample, job.values.fit_steps, job.report.progress)
        return {
            "perplexity_before": before,
            "perplexity_after": _perplexity(model, new_tokenizer, corpus.held),
        }


def _perplexity(model: Any, tokenizer: Tokenizer, held: Sequence[str]) -> float:
    most = min(MEASURED, token_rows.positions(model) // 4 - 1)  # a character has at most four bytes
    sample = [text[:most] for text in held[:MOST_MEASURED]]
    ids = [_ids(tokenizer, text) for text in sample]
    return token_rows.perplexity(model, ids, sum(map(len, sample)))


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text behind those that begin it: the tokenizer's own, else a line end.

    A model reads the first token of all as no other: it draws the attention of those to come.
    """
    begin = tokenizer.encode("").ids or tokenizer.encode("\n", add_special_tokens=False).ids
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return [*begin[:1], *ids]


def _extend_tokenizer(job: Job, learned: Learned, ids: Mapping[str, int]) -> Tokenizer:
    added = job.tokenizer.get_added_vocab()
    return learning.extend(job.tokenizer.backend_tokenizer, learned, ids, added)


def _write_tokenizer(job: Job, made: Path, learned: Learned, ids: Mapping[str, int]) -> None:
    """What lies beside the base's weights, with the new pieces in it.

    Raises ModelError where the tokenizer that comes of it is not the old one with new pieces.
    """
    template, _ = template_names.read(job.values)
    side_files.SideFiles.of(job.values, job.tokenizer, template, ()).write(made, whole=True)
    if not (made / learning.TOKENIZER).is_file():
        job.tokenizer.backend_tokenizer.save(str(made / learning.TOKENIZER))
    removed = learning.write(made, learned, ids, job.tokenizer.get_added_vocab())
    if removed:
        params: Params = {"files": ", ".join(removed)}
        job.report.notice(Problem(code="vocab_removed", params=params, notice=True))
    vocabulary = _load_tokenizer(job, made).get_vocab()
    wanted = {**job.tokenizer.get_vocab(), **ids}
    moved = [piece for piece, number in wanted.items() if vocabulary.get(piece) != number]
    if moved:
        kind = type(job.tokenizer).__name__
        params = {"count": len(moved), "piece": moved[0][:80], "kind": kind}
        raise ModelError(Problem(code="vocab_moved", field=FIELD, params=params))


def _load_tokenizer(job: Job, folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder, **_trust(job))


def _trust(job: Job) -> dict[str, bool]:
    return {"trust_remote_code": job.values.trust_remote_code}


def _measure(job: Job, made: Path, corpus: texts.Corpus, learned: Learned) -> dict[str, Any]:
    """What was gained and what it cost, as it is written beside the model."""
    after = _load_tokenizer(job, made)
    sets = names(job.values.known_dataset) or [str(resource_folder("data") / n) for n in KNOWN]
    known = (part for text in _texts(job, sets, FOR_KNOWN) for part in texts.chunks_of(text))
    sample = list(islice(known, KNOWN_MOST))
    shown = islice(learned.pieces, SHOWN)
    return {
        "base_model": load.base_name(job.values),
        "corpus": names(job.values.dataset),
        "corpus_characters": corpus.characters,
        "new_pieces": len(learned.pieces),
        "new_merges": len(learned.merges),
        "vocabulary": len(after),
        "embedding_rows": _rows(job, made),
        "held_out": texts.compare(job.tokenizer, after, corpus.held),
        "known": {
            "corpus": [Path(name).name for name in sets],
            **texts.compare(job.tokenizer, after, sample),
        },
        "pieces": [job.known.alphabet.text_of(piece) for piece in shown],
    }


def _report_metrics(metrics: Mapping[str, Any], job: Job) -> None:
    """Report the metrics as notices, for the terminal, the log and the page."""
    held, known = metrics["held_out"], metrics["known"]
    made: Params = {
        "path": str(job.target),
        "count": metrics["new_pieces"],
        "total": metrics["vocabulary"],
    }
    job.report.notice(Problem(code="vocab_made", params=made, notice=True))
    job.report.notice(Problem(code="vocab_gain", params=_describe_texts(held), notice=True))
    job.report.notice(Problem(code="vocab_cost", params=_describe_texts(known), notice=True))
    if "perplexity_after" in metrics:
        fitted: Params = {
            "before": f"{metrics['perplexity_before']:.1f}",
            "after": f"{metrics['perplexity_after']:.1f}",
            "steps": job.values.fit_steps,
        }
        job.report.notice(Problem(code="vocab_fitted", params=fitted, notice=True))


def _describe_texts(metrics: Mapping[str, Any]) -> Params:
    return {
        "texts": metrics["texts"],
        "before": f"{metrics['characters_per_token_before']:.2f}",
        "after": f"{metrics['characters_per_token_after']:.2f}",
        "gain": f"{metrics['gain']:.2f}",
        "unchanged": f"{metrics['unchanged']:.1%}",
    }
