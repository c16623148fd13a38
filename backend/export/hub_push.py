"""A finished folder to a hub of Hugging Face. The local folder stays, whatever the hub says."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from backend.contract.base.problems import Problem, TuneboardError
from backend.contract.runs import run_folder
from backend.running.deadline import answered

FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "Modelfile", "*.png", "*.md"]
# What a run itself writes, with this machine's paths in it, and whatever lies in folders of it.
LEFT = [
    run_folder.RUN,
    run_folder.LAUNCH,
    run_folder.STATUS,
    run_folder.STOP,
    run_folder.EXIT,
    run_folder.PROBLEM,
    run_folder.LOG,
    "*/*",
]


def push(
    folder: Path,
    repository: str,
    field: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
) -> str:
    """Upload FILES of the folder, those in LEFT not; returns the repository's full name.

    `private` None means as the account's default is. `revision` is the branch that receives the
    files, made where it is not there; None is the main one. The token is HF_TOKEN of the
    environment or that of `hf auth login`. Raises TuneboardError beside `field`: the hub does not
    answer within 15 s, refuses, or the name will not do.
    """
    found: list[str] = []

    def create() -> None:
        made = HfApi().create_repo(repository, private=private, exist_ok=True)
        if revision:
            HfApi().create_branch(made.repo_id, branch=revision, exist_ok=True)
        found.append(made.repo_id)

    reason = ""
    try:
        if answered(create):
            HfApi().upload_folder(
                repo_id=found[0],
                folder_path=folder,
                revision=revision,
                allow_patterns=FILES,
                ignore_patterns=LEFT,
                commit_message="Upload with Tuneboard",
            )
            return found[0]
        code = "hub_push_unreachable"
    except (HfHubHTTPError, HFValidationError) as error:
        code, reason = "hub_push_refused", _line(error)
    except (OSError, HTTPError) as error:  # HTTPError: of the client that the library uses
        code, reason = "hub_push_unreachable", _line(error)
    params = {"name": repository, "path": str(folder), "reason": reason}
    raise TuneboardError(Problem(code=code, field=field, params=params))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
