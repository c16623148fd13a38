"""New tokens: their rows in the embeddings, how these begin, and that an adapter brings them along.

A new token begins as the mean of the embeddings of the pieces that its text was split into before
(Hewitt, "Initializing new word embeddings for pretrained language models", 2021, for the mean).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AddedToken

from backend.contract.arguments.typed import Arguments
from backend.contract.base.files import read_json, read_mapping
from backend.contract.base.problems import Params, Problem, UsageError
from backend.contract.models.model_folder import ADAPTER_CONFIG
from backend.contract.preflight.preflight import check_new_tokens
from backend.contract.registry.dataset_info import names
from backend.model import language

DESCRIBED = "new_special_tokens_config"
ARGUMENTS = ("add_tokens", "add_special_tokens", DESCRIBED)
MULTIPLE = 64  # rows of embeddings are added in this step, for the speed of the matrix product
WEIGHTS = "adapter_model.safetensors"


def extend(tokenizer: Any, values: Arguments) -> None:
    """Add the tokens that were asked for to the tokenizer; those that it has stay as they are.

    Raises UsageError where the file of described tokens is none.
    """
    known = tokenizer.get_vocab()
    special = [*names(values.add_special_tokens), *_described(values)]
    fresh = [each for each in names(values.add_tokens) if each not in known]
    tokenizer.add_tokens(fresh)
    tokenizer.add_tokens(
        [AddedToken(each, special=True, normalized=False) for each in special if each not in known],
        special_tokens=True,
    )


def grow(model: Any, before: Any, after: Any, values: Arguments, size: int) -> list[int]:
    """Give new tokens their rows; returns their ids, which are still to be learned.

    `before` and `after` are the tokenizer without and with the new tokens, `size` how many tokens
    there are at the least.
    """
    rows = len(model.get_input_embeddings().weight)
    total = max(size, len(after))
    resize(model, total)
    known = before.get_vocab()
    texts = {each: each for each in [*names(values.add_tokens), *names(values.add_special_tokens)]}
    texts |= _described(values)
    ids = []
    for token, text in texts.items():
        if token in known:
            continue
        number = after.convert_tokens_to_ids(token)
        pieces = before(text, add_special_tokens=False)["input_ids"]
        _begin(model, number, [each for each in pieces if each < rows])
        ids.append(number)
    return sorted({*ids, *range(rows, total)})


def append(model: Any, pieces: Mapping[int, Sequence[int]]) -> None:
    """Give pieces behind the vocabulary their rows: each the mean of the rows of the old pieces
    that it takes the place of, by their ids (Gee et al., "Fast Vocabulary Transfer for Language
    Model Compression", 2022). Rows that are there beyond the vocabulary are used first."""
    resize(model, max(pieces) + 1)
    with torch.no_grad():
        for weights in (*tables(model).values(), *_biases(model)):
            for number, old in pieces.items():
                weights[number] = weights[list(old)].float().mean(0).to(weights.dtype)


def beyond(model: Any, tokenizer: Any) -> list[Problem]:
    """A notice where the tokenizer knows tokens that the model has no rows for."""
    rows = int(model.config.get_text_config().vocab_size)
    known = tokenizer.get_vocab()
    outside = sorted((each for each in known if known[each] >= rows), key=known.__getitem__)
    if not outside:
        return []
    params: Params = {"count": len(outside), "rows": rows, "token": outside[0][:80]}
    return [Problem(code="tokens_without_rows", field="resize_vocab", params=params, notice=True)]


def difference(own: Mapping[str, int], other: Mapping[str, int]) -> Params:
    """How another vocabulary differs, as parameters of a problem; {} where it does not.

    `count`: how many tokens have another id or none; `token`: the first of them, with its id
    `there` and `here` ("-" where it has none).
    """
    tokens = {token for token, _ in own.items() ^ other.items()}
    if not tokens:
        return {}
    ids = {each: (own.get(each, other.get(each, 0)), each) for each in tokens}
    first = min(tokens, key=ids.__getitem__)
    there, here = other.get(first, "-"), own.get(first, "-")
    return {"count": len(tokens), "token": first[:80], "there": there, "here": here}


def wanted(values: Arguments) -> bool:
    """Whether the vocabulary may change."""
    return values.resize_vocab or asked(values)


def asked(values: Arguments) -> bool:
    """Whether tokens are to be added."""
    return any(getattr(values, name) for name in ARGUMENTS)


def without(values: Arguments) -> Arguments:
    """The same arguments without new tokens."""
    return values.replace(**dict.fromkeys(ARGUMENTS))


def resize(model: Any, size: int, multiple: int = MULTIPLE) -> None:
    """Rows for at least `size` tokens; what has no token of its own is the mean of all others."""
    rows = len(model.get_input_embeddings().weight)
    if rows >= size:
        return
    model.resize_token_embeddings(size, pad_to_multiple_of=multiple, mean_resizing=False)
    with torch.no_grad():
        for weights in (*tables(model).values(), *_biases(model)):
            weights[rows:] = weights[:rows].float().mean(0).to(weights.dtype)


def learn(config: Any, model: Any, ids: list[int]) -> None:
    """Let a new LoRA adapter learn the rows of these tokens, unless it learns whole tables."""
    whole = set(config.modules_to_save or [])
    full = language.is_part(model.config)  # other parts may have tables of the same name
    parts = {name if full else name.rsplit(".", 1)[-1] for name in tables(model)} - whole
    if ids and parts:
        config.trainable_token_indices = {name: list(ids) for name in sorted(parts)}


def saving(model: Any) -> dict[str, Any]:
    """How to save: an adapter that learned rows of single tokens needs no whole tables."""
    configs = getattr(model, "peft_config", {}).values()
    alone = any(getattr(each, "trainable_token_indices", None) for each in configs)
    return {"save_embedding_layers": False} if alone else {}


def learned(folder: Path) -> set[int]:
    """The ids of the tokens whose rows an adapter folder brings along."""
    found = read_json(folder / ADAPTER_CONFIG).get("trainable_token_indices")
    lists = (
        found.values() if isinstance(found, dict) else [found] if isinstance(found, list) else []
    )
    return {int(each) for part in lists for each in part}


def fit(model: Any, folder: Path) -> None:
    """Give the model as many rows as an adapter was trained with, before it is put on."""
    ids = learned(folder)
    if ids:
        resize(model, max(ids) + 1)
    for count in _saved_rows(model, folder):
        resize(model, count, multiple=1)


def _saved_rows(model: Any, folder: Path) -> Iterator[int]:
    """Rows of the whole tables of embeddings that an adapter folder holds."""
    if not (folder / WEIGHTS).is_file():
        return
    with safe_open(folder / WEIGHTS, framework="pt") as weights:
        known = set(weights.keys())
        for name in tables(model):
            key = f"base_model.model.{name}.weight"
            if key in known:
                yield weights.get_slice(key).get_shape()[0]


def tables(model: Any) -> dict[str, torch.nn.Parameter]:
    """Weights of the embeddings and, where it has its own, of the output layer, by module name."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    modules = {id(part): name for name, part in model.named_modules()}
    found: dict[str, torch.nn.Parameter] = {}
    for end in ends:
        if end is not None and all(end.weight is not each for each in found.values()):
            found[modules[id(end)]] = end.weight
    return found


def _biases(model: Any) -> list[torch.nn.Parameter]:
    """What the output layer adds to each logit, where it does."""
    bias = getattr(model.get_output_embeddings(), "bias", None)
    return [] if bias is None else [bias]


def _begin(model: Any, number: int, pieces: list[int]) -> None:
    if not pieces:
        return
    with torch.no_grad():
        for weights in tables(model).values():
            weights[number] = weights[pieces].float().mean(0).to(weights.dtype)


def _described(values: Arguments) -> dict[str, str]:
    """Special tokens of the file, each with the text that says what it stands for."""
    given = values.new_special_tokens_config
    if not given:
        return {}
    wrong = check_new_tokens(values)
    if wrong:
        raise UsageError(*wrong)
    content, _ = read_mapping(given)
    return {str(token): str(text) for token, text in content.items()}
