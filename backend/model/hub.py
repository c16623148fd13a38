"""Download a model from a hub into a local folder."""

import os
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.runs.run_names import describe_places
from backend.contract.system import boundary
from backend.contract.texts.problems import ModelError, Problem
from backend.running.deadline import answers_in_time, retry

DEADLINE = 12.0  # seconds until the hub must have answered once
CONFIGS = ["config.json", "adapter_config.json"]
FILES = [
    *("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"),
    *("LICENSE*", "NOTICE*", "USE_POLICY*"),
]
# A star passes folders: "*.safetensors" alone takes second copies, as of original/, as well.
SECOND_COPIES = ["*/*.safetensors"]


def fetch(name: str, values: Arguments, field: str = "model_name_or_path") -> Path:
    """Download a model unless it is there; returns its folder. Weights are safetensors only.

    Raises ModelError for the argument `field` where the hub does not answer within 15 s, has no
    such model, or refuses access.
    """
    download = _modelscope if values.hub_name == "modelscope" else _huggingface
    folder = download(name, values, field)
    boundary.allow(folder)
    return folder


def _huggingface(name: str, values: Arguments, field: str) -> Path:
    place: dict[str, Any] = {"revision": values.model_revision or "main"}
    place |= _cache(values)
    code = ["*.py"] if values.trust_remote_code else []
    try:
        # The small files first; where the hub does not answer, an earlier download is used.
        stalled = not answers_in_time(
            lambda: retry(lambda: snapshot_download(name, allow_patterns=CONFIGS, **place)),
            DEADLINE,
        )
        rest = {**place, "allow_patterns": FILES + code, "local_files_only": stalled}
        rest["ignore_patterns"] = SECOND_COPIES
        return Path(retry(lambda: snapshot_download(name, **rest)))
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        code_name = "hub_gated" if isinstance(error, GatedRepoError) else "hub_not_found"
        raise _error(code_name, name, field) from error
    except HFValidationError as error:
        raise _error("model_missing", name, field) from error
    except (LocalEntryNotFoundError, HTTPError, OSError) as error:
        raise _error("hub_unreachable", name, field) from error


def _modelscope(name: str, values: Arguments, field: str) -> Path:
    from modelscope import snapshot_download as download

    revision, token = values.model_revision, os.environ.get(FIELDS["ms_hub_token"].to)
    try:
        return Path(
            download(
                name,
                revision=None if revision == "main" else revision,
                allow_patterns=FILES,
                ignore_patterns=SECOND_COPIES,
                **_cache(values),
                **({"token": token} if token else {}),
            )
        )
    except (OSError, ValueError) as error:
        raise _error("hub_unreachable", name, field) from error


def _cache(values: Arguments) -> dict[str, str]:
    folder = values.cache_dir
    return {"cache_dir": str(local(str(folder)))} if folder else {}


def _error(code: str, name: str, field: str) -> ModelError:
    params = {"name": name, "path": describe_places(name)}
    return ModelError(Problem(code=code, field=field, params=params))
