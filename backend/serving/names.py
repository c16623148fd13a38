"""The names that clients use for the models of a server: the model, and its further adapters."""

import json
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError

FIELD = "api_adapters"
BASE = "base"  # the model without an adapter


def model_name(values: Arguments) -> str:
    """The name under which the model is served: as given, else the last part of its path."""
    own = values.api_model_name
    adapter = (values.adapter_name_or_path or "").rpartition(",")[2].strip()
    path = adapter or str(values.model_name_or_path)
    return str(own or Path(path).name or path)


def adapters(values: Arguments) -> dict[str, str]:
    """The folders of further adapters by their names.

    Raises UsageError for a name that another model has, and for a folder that is no text.
    """
    folders: dict[str, str] = {}
    for name, folder in json.loads(values.api_adapters or "{}").items():
        if name in ("", BASE, model_name(values)) or not (isinstance(folder, str) and folder):
            problem = Problem(code="api_adapters_wrong", field=FIELD, params={"name": name[:80]})
            raise UsageError(problem)
        folders[name] = folder
    return folders
