"""The named template that a result was trained with: a small file beside it, read when it is used.

The result keeps the chat template of its base for other programs. Tuneboard renders prompts with
the template of the training.
"""

import json
from pathlib import Path

from backend.contract.arguments.typed import Arguments
from backend.contract.base.files import read_json
from backend.contract.models import template_names
from backend.contract.models.model_folder import local
from backend.contract.registry.dataset_info import names

NAME = "tuneboard.json"


def write(folder: Path, template: str) -> None:
    """Write the template beside a result; "auto" (the model's own) needs no file."""
    if template == template_names.AUTO:
        (folder / NAME).unlink(missing_ok=True)
    else:
        (folder / NAME).write_text(json.dumps({"template": template}) + "\n")


def read(values: Arguments) -> tuple[str, str]:
    """The template that the last adapter, else the model, was trained with, and the folder of this.

    "auto" and "" where there is no file, or the template in it is not known.
    """
    last = [values.model_name_or_path or "", *names(values.adapter_name_or_path)]
    folder = local(last[-1])
    template = read_json(folder / NAME).get("template") if last[-1] else None
    known = isinstance(template, str) and not template_names.check(template)
    return (str(template), str(folder)) if known else (template_names.AUTO, "")
