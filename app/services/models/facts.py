"""What a model is, read from its folder's small files and headers alone: size, context, template.

Nothing is loaded or executed. A chat template counts as one that knows tools or thinking where it
names the variable for it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from app.i18n import t
from app.services.models.catalog import catalog
from backend.contract.models import card_head, model_folder
from backend.contract.preflight.requirements import quantization_of
from backend.contract.system import boundary
from backend.contract.system.files import read_json
from backend.contract.texts.numbers import format_number, localize
from backend.contract.texts.terminal_text import decimal_size

TEMPLATE, TOKENIZER = "chat_template.jinja", "tokenizer_config.json"
LEGACY_TEMPLATE = "chat_template.json"
MOST_BYTES = 4_000_000  # of a small file that is read; larger ones tell nothing
REMEMBERED = 64  # models
SWITCH = re.compile(r"\b(enable_thinking|thinking)\b")
THINKS = re.compile(r"</?think(ing)?>|\breasoning_content\b")
TOOLS = re.compile(r"\btools\b")
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
SENSES = {
    "sees": ("vision_config", "visual", "vision_tower", "image_token_id", "image_token_index"),
    "hears": ("audio_config", "speech_config", "audio_token_id", "audio_token_index"),
}


@dataclass(frozen=True)
class Facts:
    """What is known of a model; None or "" where its files do not say it.

    parameters  the numbers in its weights; None where they are quantized, and so packed
    size        bytes of its weights on the disk
    dtype       how most of its numbers are stored, or how they are quantized
    thinking    "", "always" or "switch" (it can be switched on and off)
    senses      of "sees" and "hears"
    base        the model that an adapter was trained on; the other facts are of that
    hubs        (name of a hub, id there) of a model that is not on this machine
    """

    parameters: int | None = None
    layers: int | None = None
    context: int | None = None
    size: int | None = None
    dtype: str = ""
    license: str = ""
    has_template: bool = False
    has_tools: bool = False
    thinking: str = ""
    senses: tuple[str, ...] = ()
    base: str = ""
    hubs: tuple[tuple[str, str], ...] = ()


def find(name: str) -> Facts | None:
    """The facts of a model by its path or hub id; None where nothing is known of it."""
    name = name.strip()
    try:
        return _find(name) if name else None
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return None


def _find(name: str) -> Facts | None:
    is_hub_id = model_folder.is_hub_id(name)
    folder = _find_download(name) if is_hub_id else model_folder.local(name)
    if folder is None:
        return _of_catalog(name)
    if not folder.is_dir() or boundary.model_refusal(folder) is not None:
        return None
    if (folder / model_folder.CONFIG).is_file():
        return _of_folder(folder, _stamp(folder))
    base = model_folder.adapter_base(folder)
    if not base or base == name:
        return None
    facts = None if model_folder.adapter_base(model_folder.local(base)) else find(base)
    return replace(facts or Facts(), base=base)


def _find_download(name: str) -> Path | None:
    """The folder where the Hugging Face hub's cache holds a model; None where it does not."""
    config = try_to_load_from_cache(name, model_folder.CONFIG)
    return Path(config).parent if isinstance(config, str) else None


def _of_catalog(name: str) -> Facts | None:
    for model in catalog():
        if name in {model.path, model.modelscope}:
            hubs = (("Hugging Face", model.path), ("ModelScope", model.modelscope))
            return Facts(hubs=tuple(hub for hub in hubs if hub[1]))
    return None


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What tells a folder whose files have changed: their names, sizes and times."""
    try:
        files = [(path.name, path.stat()) for path in folder.iterdir() if path.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))


@lru_cache(REMEMBERED)
def _of_folder(folder: Path, _stamp: object) -> Facts:
    config = model_folder.config(folder)
    text = config.get("text_config")
    inner: Mapping[str, Any] = text if isinstance(text, dict) else {}
    quantized = quantization_of(folder)
    parameters, size, dtype = _weights(folder)
    template = _template(folder)
    switch = SWITCH.search(template) is not None
    return Facts(
        parameters=None if quantized else parameters,
        layers=_whole(inner.get("num_hidden_layers", config.get("num_hidden_layers"))),
        context=_whole(inner.get("max_position_embeddings", config.get("max_position_embeddings"))),
        size=size,
        dtype=quantized or dtype,
        license=card_head.name_license(card_head.read(folder)),
        has_template=bool(template),
        has_tools=TOOLS.search(template) is not None,
        thinking="switch" if switch else "always" if THINKS.search(template) else "",
        senses=tuple(sense for sense in SENSES if _has_any(config, SENSES[sense])),
    )


def _has_any(config: Mapping[str, object], names: tuple[str, ...]) -> bool:
    return any(config.get(name) is not None for name in names)


def _weights(folder: Path) -> tuple[int | None, int | None, str]:
    """The number of parameters, the bytes of the files, and the dtype of most numbers."""
    if model_folder.weight_problems(folder, "model", ""):
        return None, None, ""
    counts: dict[str, int] = {}
    size = 0
    try:
        for path, _, header in model_folder.headers(folder, "model"):
            size += path.stat().st_size
            for tensor in header.values():
                dtype = str(tensor["dtype"])
                counts[dtype] = counts.get(dtype, 0) + math.prod(tensor["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, None, ""
    dtype = max(counts, key=counts.__getitem__, default="")
    return sum(counts.values()), size, DTYPES.get(dtype, dtype)


def _template(folder: Path) -> str:
    """The model's own chat template, or all of them where it has several; "" for none."""
    text = _small_text(folder / TEMPLATE)
    if text:
        return text
    for name in (TOKENIZER, LEGACY_TEMPLATE):
        if _is_small(folder / name):
            named = read_json(folder / name).get("chat_template")
            texts = named if isinstance(named, list) else [{"template": named or ""}]
            text = "\n".join(str(each.get("template")) for each in texts if isinstance(each, dict))
            if text:
                return text
    return ""


def _small_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if _is_small(path) else ""
    except OSError:
        return ""


def _is_small(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= MOST_BYTES
    except OSError:
        return False


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def describe(facts: Facts, lang: str) -> list[tuple[str, str]]:
    """The facts in words: (label, value) pairs, those that are known."""
    values = {
        "base": facts.base,
        "parameters": _count(facts.parameters),
        "layers": "" if facts.layers is None else str(facts.layers),
        "context": _describe_context(facts.context, lang),
        "size": "" if facts.size is None else localize(decimal_size(facts.size), lang),
        "dtype": facts.dtype,
        "license": facts.license,
    }
    if facts.size is not None:
        values |= {
            "template": _answer(facts.has_template, lang),
            "thinking": t(f"facts.thinking_{facts.thinking or 'none'}", lang),
            "tools": _answer(facts.has_tools, lang),
            "takes": t("facts.takes_" + "_".join(["text", *facts.senses]), lang),
        }
    return [
        *((t(f"facts.{name}", lang), value) for name, value in values.items() if value),
        *facts.hubs,
    ]


def _describe_context(tokens: int | None, lang: str) -> str:
    return "" if tokens is None else t("facts.tokens", lang, n=format_number(tokens))


def _answer(answer: bool, lang: str) -> str:
    return t("facts.yes" if answer else "facts.no", lang)


def _count(count: int | None) -> str:
    """A number of parameters as people say it: 135M, 7.62B."""
    if count is None:
        return ""
    return f"{count / 1e9:.3g}B" if count >= 1e9 else f"{count / 1e6:.3g}M"
