"""What a model's card (README.md) says of its license and of the model that it was made from.

A card comes with a model from anywhere. Only the entries asked for are parsed, so others that are
broken, or built to explode, do no harm (https://huggingface.co/docs/hub/model-cards).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from backend.contract.system.files import MAX_BYTES, parse_mapping

NAME = "README.md"
LICENSE = ("license", "license_name", "license_link")
BASE = "base_model"
MOST_BYTES = 4_000_000  # of a card that are read: scores make some heads long
HEAD = re.compile(r"\A\ufeff?\s*---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
KEY = re.compile(r"[^\s#-][^:]*")  # how an entry of the head begins; its other lines are indented

Entry = str | list[str]


def read(folder: Path) -> Mapping[str, Entry]:
    """The entries LICENSE and BASE in the head of the card in a model's folder; without those that
    it does not have, or that are no text or list of texts."""
    try:
        with (folder / NAME).open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    head = HEAD.match(text.replace("\r\n", "\n"))
    wanted = _pick_entries(head[1] if head else "").encode()
    content, _ = parse_mapping(wanted[:MAX_BYTES], NAME)
    return {key: value for key, value in content.items() if _is_entry(value)}


def name_license(entries: Mapping[str, Entry]) -> str:
    """The license that a card's entries name, in one line; "" where they name none."""
    license = entries.get("license_name") or entries.get("license") or ""
    return " ".join((license if isinstance(license, str) else ", ".join(license)).split())


def _pick_entries(head: str) -> str:
    """The lines of the entries that are asked for."""
    lines, is_wanted = [], False
    for line in head.split("\n"):
        key = KEY.match(line)
        if key:
            is_wanted = key[0].strip() in {*LICENSE, BASE}
        if is_wanted:
            lines.append(line)
    return "\n".join(lines)


def _is_entry(value: object) -> TypeGuard[Entry]:
    every = value if isinstance(value, list) else [value]
    return bool(every) and all(isinstance(each, str) for each in every)
