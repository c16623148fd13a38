"""Fingerprint of all that prepared rows depend on, so that they are made anew when it changes."""

import json
from typing import Any

import tokenizers
import transformers

from backend.data.examples import Maker
from backend.data.rendering import Template
from backend.data.sources import PLACEHOLDERS, Source

# Attributes of a template that say how it was chosen or follow from the others.
LEFT_OUT = {"tokenizer", "name", "notices", "reads"}
VERSION = 3  # raised when the code that makes examples changes what it makes


def of(source: Source, maker: Maker, batch_size: int) -> dict[str, Any]:
    """Content of the data, layout, tokenizer, template, arguments and versions, as JSON values."""
    return {
        "version": [VERSION, transformers.__version__, tokenizers.__version__],
        "set": _source(source),
        "stage": maker.stage,
        "policy": vars(maker.policy),
        "batch_size": batch_size if maker.stage == "kto" else None,
        "template": template(maker.template),
        "tokenizer": tokenizer(maker.template.tokenizer),
    }


def tokenizer(tokenizer: Any) -> dict[str, Any]:
    """All that decides which ids a tokenizer makes of a text."""
    if tokenizer.is_fast:
        made = json.loads(tokenizer.backend_tokenizer.to_str())
        rules: Any = {**made, "truncation": None, "padding": None}  # left over from earlier calls
    else:
        rules = [
            type(tokenizer).__name__,
            tokenizer.get_vocab(),
            repr(tokenizer.added_tokens_decoder),
        ]
    return {"rules": rules, "special": tokenizer.special_tokens_map}


def template(template: Template) -> list[Any]:
    """All that decides how a template renders a conversation."""
    return sorted((n, str(value)) for n, value in vars(template).items() if n not in LEFT_OUT)


def _source(source: Source) -> dict[str, Any]:
    entry, values = source.entry, source.values
    filled = [getattr(values, name) for _, name in PLACEHOLDERS] if entry.placeholders else []
    return {
        "content": source.content(),
        "layout": [entry.formatting, entry.columns, entry.tags, values.strict_turns],
        "chosen": [entry.num_samples, values.max_samples],
        "seed": values.seed if entry.num_samples else None,
        "filled": filled,
    }
