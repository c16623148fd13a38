"""Download a model from a hub into a local folder."""

import os
from pathlib import Path

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
from backend.hub import fetching
from backend.hub.fetching import CODE, FILES, SECOND_COPIES, Repository

DEADLINE = 12.0  # seconds until the hub must have answered once


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
    code = CODE if values.trust_remote_code else ()
    repository = Repository(
        name,
        values.model_revision or "main",
        cache=_cache(values).get("cache_dir"),
        patterns=(*FILES, *code),
        refused=SECOND_COPIES,
    )
    try:
        return _download(repository)
    except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        code_name = "hub_gated" if isinstance(error, GatedRepoError) else "hub_not_found"
        raise _error(code_name, name, field) from error
    except HFValidationError as error:
        raise _error("model_missing", name, field) from error
    except (HTTPError, OSError) as error:
        raise _error("hub_unreachable", name, field) from error


def _download(repository: Repository) -> Path:
    """Fetch what is missing of a model. Where the hub does not answer, or refuses, an earlier
    download is used."""
    try:
        plan = fetching.make_plan(repository, DEADLINE)
    except (HTTPError, OSError) as error:
        try:
            return fetching.find_snapshot(repository)
        except LocalEntryNotFoundError:
            raise error from None
    fetching.require_room(repository, plan)
    return fetching.fetch(repository, plan)


def _modelscope(name: str, values: Arguments, field: str) -> Path:
    from modelscope import snapshot_download as download

    revision, token = values.model_revision, os.environ.get(FIELDS["ms_hub_token"].to)
    try:
        return Path(
            download(
                name,
                revision=None if revision == "main" else revision,
                allow_patterns=[*FILES],
                ignore_patterns=[*SECOND_COPIES],
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
