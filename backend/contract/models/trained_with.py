"""Which named template a result was trained with: a small file beside it, read when it is used.

The result keeps the chat template of its base, which other programs use; here it is asked the way
that it learned.
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
    """Note the template beside a result; "auto" (the model's own) needs no note."""
    if template == template_names.AUTO:
        (folder / NAME).unlink(missing_ok=True)
    else:
        (folder / NAME).write_text(json.dumps({"template": template}) + "\n")


def read(values: Arguments) -> tuple[str, str]:
    """The template that the last adapter, else the model, was trained with, and its folder.

    "auto" and "" where there is no note, or one with a name that is not known here.
    """
    last = [values.model_name_or_path or "", *names(values.adapter_name_or_path)]
    folder = local(last[-1])
    template = read_json(folder / NAME).get("template") if last[-1] else None
    known = isinstance(template, str) and not template_names.check(template)
    return (str(template), str(folder)) if known else (template_names.AUTO, "")
