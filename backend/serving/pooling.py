"""How the vectors of a text's tokens become one: as the model's own settings say.

Models made with sentence-transformers have modules.json and 1_Pooling/config.json beside their
weights. For all others it is the vector of the last token, scaled to the length 1, as in vLLM's
`Pooler` for models without such files (vllm/model_executor/layers/pooler).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backend.contract.texts.problems import Problem, UsageError

MODULES, CONFIG = "modules.json", "1_Pooling/config.json"
KNOWN = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
TYPES = ("Transformer", "Pooling", "Normalize")

Mode = Literal["first", "last", "mean", "max"]


@dataclass(frozen=True)
class Pooling:
    """mode: which tokens count; is_scaled: whether the vector is scaled to the length 1."""

    mode: Mode = "last"
    is_scaled: bool = True


def read(folder: Path) -> Pooling:
    """The pooling of a model's folder. Raises UsageError where it wants another one."""
    config = _read_json(folder / CONFIG)
    if config is None:
        return Pooling()
    modes = [name for name, value in config.items() if "pooling_mode_" in name and value is True]
    if len(modes) != 1 or modes[0] not in KNOWN:
        raise _unknown(CONFIG, ", ".join(modes) or "no mode")
    modules = _read_json(folder / MODULES) or []
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules]
    for kind in kinds:
        if kind not in TYPES:
            raise _unknown(MODULES, kind)
    mode: Any = KNOWN[modes[0]]
    return Pooling(mode, "Normalize" in kinds)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except ValueError:
        raise _unknown(path.name, "no JSON") from None


def _unknown(file: str, mode: str) -> UsageError:
    params: dict[str, str | int | float] = {"file": file, "mode": mode[:80]}
    return UsageError(Problem(code="pooling_unknown", field="model", params=params))
