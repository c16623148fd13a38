"""Publish a result: upload its folder to Hugging Face. The local folder stays in any case."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError

from backend.contract.runs import run_folder
from backend.contract.texts.problems import Problem, TuneboardError
from backend.running.deadline import answers_in_time

FILES = [
    "*.safetensors",
    "*.gguf",
    "*.json",
    "*.jinja",
    "*.model",
    "*.txt",
    "Modelfile",
    "*.png",
    "*.md",
]
# Files of a run that hold paths of this machine, and everything in subfolders.
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
    """Upload FILES of the folder without those in LEFT; returns the repository's full name.

    `private` None takes the account's default. `revision` is the branch that receives the files,
    created where it does not exist; None is the main one. The token is HF_TOKEN of the
    environment or that of `hf auth login`. Raises TuneboardError for `field` where the hub does
    not answer within 15 s, refuses, or the name is not valid.
    """
    created: list[str] = []

    def create() -> None:
        created_repository = HfApi().create_repo(repository, private=private, exist_ok=True)
        if revision:
            HfApi().create_branch(created_repository.repo_id, branch=revision, exist_ok=True)
        created.append(created_repository.repo_id)

    reason = ""
    try:
        if answers_in_time(create):
            HfApi().upload_folder(
                repo_id=created[0],
                folder_path=folder,
                revision=revision,
                allow_patterns=FILES,
                ignore_patterns=LEFT,
                commit_message="Upload with Tuneboard",
            )
            return created[0]
        code = "hub_push_unreachable"
    except (HfHubHTTPError, HFValidationError) as error:
        code, reason = "hub_push_refused", _line(error)
    except (OSError, HTTPError) as error:  # HTTPError is that of the library's HTTP client
        code, reason = "hub_push_unreachable", _line(error)
    params = {"name": repository, "path": str(folder), "reason": reason}
    raise TuneboardError(Problem(code=code, field=field, params=params))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
