"""ModelScope by its public HTTP API, which needs no package: a search, the files of a model.

GET /openapi/v1/models            a page of results, {"data": {"models": [...]}}
GET /api/v1/models/ID/repo/files  the files of a revision, {"Data": {"Files": [...]}}
GET /api/v1/models/ID/repo        a file, in ranges

See OpenAPIClient and LegacyClient of the package modelscope_hub 0.5. Files lie where that looks for
them, so that a training through the package finds them there.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from huggingface_hub.utils import filter_repo_objects, get_session, hf_raise_for_status

from backend.contract.arguments.fields import FIELDS
from backend.contract.system.files import take_lock
from backend.hub.fetching import FILES, SECOND_COPIES, append, require_digest
from backend.hub.results import HubModel, HubSet
from backend.running.deadline import retry

ENDPOINT = "https://www.modelscope.cn"  # unless MODELSCOPE_ENDPOINT names another
REVISION = "master"  # what "main" is called there
MOST = 100  # rows of a page
SECONDS = 12.0  # until it must have answered


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: its path in the repository, its bytes and its hash."""

    path: str
    size: int
    digest: str


def search_models(words: str, limit: int, seconds: float) -> list[HubModel]:
    """The models whose names match. Raises what huggingface_hub's client raises."""
    rows = _list("models", words, limit, seconds)
    return [HubModel(name=str(row["id"]), **_describe(row)) for row in rows]


def search_sets(words: str, limit: int, seconds: float) -> list[HubSet]:
    """The data sets whose names match. Raises as `search_models` does."""
    rows = _list("datasets", words, limit, seconds)
    return [HubSet(name=str(row["id"]), **_describe(row)) for row in rows]


def list_files(name: str, revision: str) -> list[ModelFile]:
    """The files that make up a model. Raises as `search_models` does."""
    query = {"Revision": _name_revision(revision), "Recursive": "True"}
    answer = _ask(f"/api/v1/models/{name}/repo/files", query, SECONDS)
    files = [
        ModelFile(str(row["Path"]), int(row["Size"]), str(row.get("Sha256") or ""))
        for row in answer["Data"]["Files"]
        if row.get("Type") != "tree" and _is_inside(str(row["Path"]))
    ]
    patterns = {"allow_patterns": [*FILES], "ignore_patterns": [*SECOND_COPIES]}
    return [*filter_repo_objects(files, key=lambda file: file.path, **patterns)]


def _is_inside(path: str) -> bool:
    """Whether a path does not lead out of the folder that it is put into."""
    return not path.startswith("/") and ".." not in Path(path).parts


def cache() -> Path:
    """The folder where the package keeps what it downloads."""
    return Path(os.environ.get("MODELSCOPE_CACHE") or Path.home() / ".cache" / "modelscope")


def find_folder(name: str, revision: str = "") -> Path:
    """The folder of a model in the cache; with a revision, that of its files."""
    folder = cache() / "models" / name.replace("/", "--")
    return folder / "snapshots" / _name_revision(revision) if revision else folder


def is_here(name: str, revision: str, file: ModelFile) -> bool:
    """Whether a file was fetched; it has its name only once it is whole and right."""
    path = find_folder(name, revision) / file.path
    return path.is_file() and path.stat().st_size == file.size


def fetch(name: str, revision: str, files: Sequence[ModelFile]) -> Path:
    """Fetch the files that are not there yet, each from where an earlier try has come to, and
    return their folder. Raises as `search_models` does, and ModelError where one is damaged."""
    folder = find_folder(name, revision)
    folder.mkdir(parents=True, exist_ok=True)
    lock = take_lock(find_folder(name) / ".tuneboard", None)
    assert lock is not None
    try:
        for file in files:
            if not is_here(name, revision, file):
                _fetch_file(name, revision, file, folder / file.path)
    finally:
        os.close(lock)
    return folder


def _fetch_file(name: str, revision: str, file: ModelFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.incomplete")
    query = urlencode({"Revision": _name_revision(revision), "FilePath": file.path})
    url = f"{_endpoint()}/api/v1/models/{name}/repo?{query}"
    retry(lambda: append(part, url, file.size, _headers()))
    if file.digest:
        require_digest(part, file.digest, file.path)
    os.replace(part, target)


def _name_revision(revision: str) -> str:
    return REVISION if revision in {"", "main"} else revision


def _describe(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "license": str(row.get("license") or ""),
        "gated": bool(row.get("gated") or row.get("login_required")),
        "downloads": int(row.get("downloads") or 0),
        "size": row.get("file_size") or None,
    }


def _list(kind: str, words: str, limit: int, seconds: float) -> list[dict[str, Any]]:
    query = {"search": words, "sort": "downloads", "page_size": min(limit, MOST)}
    answer = _ask(f"/openapi/v1/{kind}", query, seconds)
    return [row for row in (answer.get("data") or {}).get(kind) or [] if row.get("id")]


def _ask(path: str, query: dict[str, Any], seconds: float) -> Any:
    response = get_session().get(
        f"{_endpoint()}{path}", params=query, headers=_headers(), timeout=seconds
    )
    hf_raise_for_status(response)
    return response.json()


def _endpoint() -> str:
    return (os.environ.get("MODELSCOPE_ENDPOINT") or ENDPOINT).rstrip("/")


def _headers() -> dict[str, Any]:
    """The token as both of its interfaces take it; the client drops it where it is led to another
    host."""
    token = os.environ.get(FIELDS["ms_hub_token"].to)
    return {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
