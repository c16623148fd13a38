"""Search a hub for models or data sets, and say which models can be trained here."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.hf_api import (
    DatasetInfo,
    ExpandDatasetProperty_T,
    ExpandModelProperty_T,
    ModelInfo,
)

from backend.contract.texts.problems import ModelError, Problem
from backend.hub import modelscope
from backend.hub.results import HubModel, HubSet
from backend.running.deadline import answers_in_time

DEADLINE = 3.0  # seconds
EXPAND: list[ExpandModelProperty_T] = [
    *("config", "downloads", "gated", "safetensors", "tags"),
]
EXPAND_SETS: list[ExpandDatasetProperty_T] = ["downloads", "gated", "mainSize", "tags"]
# Bytes of a number in safetensors; I4 and the like are packed into bytes, and counted so.
BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2}

Result = TypeVar("Result")


def search(words: str, limit: int, hub: str = "huggingface") -> list[HubModel]:
    """The models whose names match, the most downloaded first.

    Raises ModelError where the hub does not answer within 3 s, or refuses.
    """
    if hub == "modelscope":
        return _ask(lambda: modelscope.search_models(words, limit, DEADLINE), words)
    question = _question(words, limit)
    models = _ask(lambda: HfApi().list_models(**question, expand=EXPAND), words)
    return [_describe(each) for each in models]


def search_sets(words: str, limit: int, hub: str = "huggingface") -> list[HubSet]:
    """The data sets whose names match, the most downloaded first. Raises as `search` does."""
    if hub == "modelscope":
        return _ask(lambda: modelscope.search_sets(words, limit, DEADLINE), words)
    question = _question(words, limit)
    listed = _ask(lambda: HfApi().list_datasets(**question, expand=EXPAND_SETS), words)
    return [_describe_set(each) for each in listed]


def _question(words: str, limit: int) -> dict[str, Any]:
    """What both lists of the hub are asked for: names that match, the most downloaded first."""
    return {"search": words, "sort": "downloads", "limit": limit}


def _ask(request: Callable[[], Iterable[Result]], words: str) -> list[Result]:
    """The rows of an answer that comes in time. Raises ModelError."""
    rows: list[Result] = []
    try:
        if answers_in_time(lambda: rows.extend(request()), DEADLINE):
            return rows
    except HfHubHTTPError as error:
        raise explain(error, words) from error
    except (HTTPError, OSError, ValueError):
        pass
    raise ModelError(Problem(code="hub_silent"))


def explain(error: HfHubHTTPError, name: str) -> ModelError:
    """The problem behind a hub's refusal: the token, too many requests, or an error of its own."""
    status = error.response.status_code if error.response is not None else 0
    known = {401: "hub_token_refused", 403: "hub_token_refused", 429: "hub_busy"}
    known[404] = "hub_has_no_model"  # ModelScope says no more than that
    params: dict[str, str | int | float] = {"name": name, "status": status}
    return ModelError(Problem(code=known.get(status, "hub_failed"), params=params))


def _describe(info: ModelInfo) -> HubModel:
    config = info.config or {}
    architectures = config.get("architectures") or [""]
    counts = info.safetensors.parameters if info.safetensors else {}
    return HubModel(
        name=info.id,
        parameters=sum(counts.values()) or None,
        license=_find_tag(info.tags or (), "license"),
        gated=bool(info.gated),
        downloads=info.downloads or 0,
        architecture=str(architectures[0]),
        obstacle=_find_obstacle(info.tags or (), str(config.get("model_type") or "")),
        size=sum(count * BYTES.get(kind, 1) for kind, count in counts.items()) or None,
    )


def _describe_set(info: DatasetInfo) -> HubSet:
    tags = info.tags or ()
    return HubSet(
        name=info.id,
        rows=_find_tag(tags, "size_categories"),
        size=info.main_size,
        license=_find_tag(tags, "license"),
        gated=bool(info.gated),
        downloads=info.downloads or 0,
        format=_find_tag(tags, "format"),
    )


def _find_tag(tags: Iterable[str], kind: str) -> str:
    start = f"{kind}:"
    return next((tag.removeprefix(start) for tag in tags if tag.startswith(start)), "")


def _find_obstacle(tags: Iterable[str], model_type: str) -> str:
    if "safetensors" not in tags:
        return "no_safetensors"
    return "" if model_type in list_trainable() else "architecture"


@cache
def list_trainable() -> frozenset[str]:
    """The model types for which transformers, slow to load, has a class that writes text."""
    from transformers.models.auto import modeling_auto

    return frozenset(
        {
            *modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            *modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
        }
    )
