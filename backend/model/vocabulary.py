"""New tokens: their rows in the embeddings, the initial values, and how an adapter keeps them.

A new token begins as the mean of the embeddings of the pieces that its text was split into before
(Hewitt, "Initializing new word embeddings for pretrained language models", 2021, for the mean).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import safe_open
from transformers import AddedToken

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import ADAPTER_CONFIG
from backend.contract.preflight.preflight import check_new_tokens
from backend.contract.registry.dataset_info import names
from backend.contract.system.files import read_json, read_mapping
from backend.contract.texts.problems import Params, Problem, UsageError
from backend.model import language

DESCRIBED: Final = "new_special_tokens_config"
ARGUMENTS: tuple[ArgumentName, ...] = ("add_tokens", "add_special_tokens", DESCRIBED)
MULTIPLE = 64  # the number of rows is a multiple of this, for the speed of the matrix product
WEIGHTS = "adapter_model.safetensors"


def extend(tokenizer: Any, values: Arguments) -> None:
    """Add the new tokens of the arguments to the tokenizer, unless it has them.

    Raises UsageError where the file of described tokens is not valid, or where a new token would
    get the id of another piece.
    """
    known = tokenizer.get_vocab()
    special = [*names(values.add_special_tokens), *_described_tokens(values)]
    special = [each for each in special if each not in known]
    fresh = [each for each in names(values.add_tokens) if each not in known]
    tokenizer.add_tokens(fresh)
    tokenizer.add_tokens(
        [AddedToken(each, special=True, normalized=False) for each in special],
        special_tokens=True,
    )
    _require_own_ids(tokenizer, known, [*fresh, *special])


def rows_needed(vocab: Mapping[str, int]) -> int:
    """The number of rows that a vocabulary needs: ids may have gaps, so its length can be less."""
    return max(vocab.values()) + 1


def grow(model: Any, before: Any, after: Any, values: Arguments, size: int) -> list[int]:
    """Add rows for new tokens; returns the ids of all rows that are still to be learned.

    `before` and `after` are the tokenizer without and with the new tokens, `size` is the least
    number of rows.
    """
    rows = len(model.get_input_embeddings().weight)
    total = max(size, rows_needed(after.get_vocab()))
    resize(model, total)
    known = before.get_vocab()
    texts = {each: each for each in [*names(values.add_tokens), *names(values.add_special_tokens)]}
    texts |= _described_tokens(values)
    ids = []
    for token, text in texts.items():
        if token in known:
            continue
        number = after.convert_tokens_to_ids(token)
        pieces = before(text, add_special_tokens=False)["input_ids"]
        _initialize_rows(model, number, [each for each in pieces if each < rows])
        ids.append(number)
    return sorted({*ids, *range(rows, total)})


def append(model: Any, pieces: Mapping[int, Sequence[int]]) -> None:
    """Add rows for pieces behind the vocabulary, each the mean of the rows of its old pieces.

    `pieces` maps the id of a piece to the ids of the old pieces that it replaces (Gee et al., "Fast
    Vocabulary Transfer for Language Model Compression", 2022). Existing rows beyond the vocabulary
    are used first.
    """
    resize(model, max(pieces) + 1)
    with torch.no_grad():
        for weights in (*tables(model).values(), *_biases(model)):
            for number, old in pieces.items():
                weights[number] = weights[list(old)].float().mean(0).to(weights.dtype)


def missing_row_notices(model: Any, tokenizer: Any) -> list[Problem]:
    """A notice where the tokenizer has tokens for which the model has no rows."""
    rows = int(model.config.get_text_config().vocab_size)
    known = tokenizer.get_vocab()
    outside = sorted((each for each in known if known[each] >= rows), key=known.__getitem__)
    if not outside:
        return []
    params: Params = {"count": len(outside), "rows": rows, "token": outside[0][:80]}
    return [Problem(code="tokens_without_rows", field="resize_vocab", params=params, notice=True)]


def difference(own: Mapping[str, int], other: Mapping[str, int]) -> Params:
    """The difference of another vocabulary as parameters of a problem; {} for none.

    `count` is the number of tokens that have another id or none, `token` the first of them, `there`
    and `here` its ids in the other and the own vocabulary ("-" for none).
    """
    tokens = {token for token, _ in own.items() ^ other.items()}
    if not tokens:
        return {}
    ids = {each: (own.get(each, other.get(each, 0)), each) for each in tokens}
    first = min(tokens, key=ids.__getitem__)
    there, here = other.get(first, "-"), own.get(first, "-")
    return {"count": len(tokens), "token": first[:80], "there": there, "here": here}


def may_change(values: Arguments) -> bool:
    """Whether the vocabulary may change."""
    return values.resize_vocab or adds_tokens(values)


def adds_tokens(values: Arguments) -> bool:
    """Whether the arguments add tokens."""
    return any(values[name] for name in ARGUMENTS)


def without_new_tokens(values: Arguments) -> Arguments:
    """The same arguments without new tokens."""
    return values.merge(dict.fromkeys(ARGUMENTS))


def resize(model: Any, size: int, multiple: int = MULTIPLE) -> None:
    """Add rows for at least `size` tokens; new rows are the mean of all others."""
    rows = len(model.get_input_embeddings().weight)
    if rows >= size:
        return
    model.resize_token_embeddings(size, pad_to_multiple_of=multiple, mean_resizing=False)
    with torch.no_grad():
        for weights in (*tables(model).values(), *_biases(model)):
            weights[rows:] = weights[:rows].float().mean(0).to(weights.dtype)


def train_rows(config: Any, model: Any, ids: list[int]) -> None:
    """Let a new LoRA adapter learn the rows of these tokens, unless it learns the whole tables."""
    whole = set(config.modules_to_save or [])
    full = language.is_part(model.config)  # other parts may have tables of the same name
    parts = {name if full else name.rsplit(".", 1)[-1] for name in tables(model)} - whole
    if ids and parts:
        config.trainable_token_indices = {name: list(ids) for name in sorted(parts)}


def save_options(model: Any) -> dict[str, Any]:
    """Options of save_pretrained: an adapter with rows of single tokens needs no whole tables."""
    configs = getattr(model, "peft_config", {}).values()
    alone = any(getattr(each, "trainable_token_indices", None) for each in configs)
    return {"save_embedding_layers": False} if alone else {}


def learned_token_ids(folder: Path) -> set[int]:
    """The ids of the tokens whose rows are in an adapter folder."""
    indices = read_json(folder / ADAPTER_CONFIG).get("trainable_token_indices")
    lists = (
        indices.values()
        if isinstance(indices, dict)
        else [indices]
        if isinstance(indices, list)
        else []
    )
    return {int(each) for part in lists for each in part}


def resize_for_adapter(model: Any, folder: Path) -> None:
    """Add rows until the model has as many as an adapter was trained with."""
    ids = learned_token_ids(folder)
    if ids:
        resize(model, max(ids) + 1)
    for count in _saved_table_sizes(model, folder):
        resize(model, count, multiple=1)


def _saved_table_sizes(model: Any, folder: Path) -> Iterator[int]:
    """Yield the numbers of rows of the whole embedding tables in an adapter folder."""
    if not (folder / WEIGHTS).is_file():
        return
    with safe_open(folder / WEIGHTS, framework="pt") as weights:
        known = set(weights.keys())
        for name in tables(model):
            key = f"base_model.model.{name}.weight"
            if key in known:
                yield weights.get_slice(key).get_shape()[0]


def tables(model: Any) -> dict[str, torch.nn.Parameter]:
    """Weights of the embeddings and, unless it is tied, of the output layer, by module name."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    modules = {id(part): name for name, part in model.named_modules()}
    by_name: dict[str, torch.nn.Parameter] = {}
    for end in ends:
        if end is not None and all(end.weight is not each for each in by_name.values()):
            by_name[modules[id(end)]] = end.weight
    return by_name


def _biases(model: Any) -> list[torch.nn.Parameter]:
    """The bias of the output layer in a list, empty where it has none."""
    bias = getattr(model.get_output_embeddings(), "bias", None)
    return [] if bias is None else [bias]


def _initialize_rows(model: Any, number: int, pieces: list[int]) -> None:
    if not pieces:
        return
    with torch.no_grad():
        for weights in tables(model).values():
            weights[number] = weights[pieces].float().mean(0).to(weights.dtype)


def _require_own_ids(tokenizer: Any, known: Mapping[str, int], new: Sequence[str]) -> None:
    """Raise UsageError where a new token has got the id of a piece.

    tokenizers 0.23.3 (add_tokens) counts on from the number of pieces, not from their largest id,
    so where ids have gaps it may meet one that is taken.
    """
    pieces = {number: piece for piece, number in known.items()}
    for token in new:
        number = tokenizer.convert_tokens_to_ids(token)
        if number in pieces:
            params: Params = {"token": token[:80], "id": number, "other": pieces[number][:80]}
            raise UsageError(Problem(code="new_token_id", field="add_tokens", params=params))


def _described_tokens(values: Arguments) -> dict[str, str]:
    """The special tokens of new_special_tokens_config, each with the text that describes it.

    Raises UsageError where the file is not valid.
    """
    path = values.new_special_tokens_config
    if not path:
        return {}
    problems = check_new_tokens(values)
    if problems:
        raise UsageError(*problems)
    content, _ = read_mapping(path)
    return {str(token): str(text) for token, text in content.items()}
