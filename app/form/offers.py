"""What the lists of a form offer, in groups; asked for when a list opens."""

from collections.abc import Mapping
from typing import Any

from app.i18n import t
from app.services.models import catalog
from backend.contract.arguments.typed import Arguments
from backend.contract.models.template_names import OFFERED
from backend.contract.registry import dataset_info
from backend.contract.runs import model_folders
from backend.contract.texts.problems import TuneboardError

Group = dict[str, Any]


def groups(kind: str, raw: Mapping[str, Any], lang: str) -> list[Group]:
    """The groups of a kind of list: a title, and (value, text) pairs.

    raw  what the form holds: the folder of the registry, the hub
    """
    values = Arguments.from_known(raw)
    if kind == "model":
        return _models(values.hub_name, lang)
    if kind == "only_model":
        only = catalog.find_only_model(values.hub_name)
        return [_group("", [(only, only)])] if only else []
    if kind == "dataset":
        return [
            _group(
                "",
                [(name, name) for name in datasets(values.dataset_dir or "data")],
            )
        ]
    if kind == "template":
        return [_group("", [(name, name) for name in OFFERED])]
    offered = {"adapter": catalog.trained_adapters, "reward_model": catalog.reward_models}
    read = offered.get(kind)
    return [_group("", [(path, label) for label, path in read()])] if read else []


def datasets(folder: str) -> list[str]:
    """Registered data sets; none where the folder has no readable registry."""
    try:
        return sorted(dataset_info.entries(folder))
    except TuneboardError:
        return []


def _models(hub: str, lang: str) -> list[Group]:
    here = [(model.path, model.name) for model in model_folders.local_models()]
    downloaded = model_folders.downloaded_models(hub)
    here += [(name, name) for name in downloaded]
    runs = [(path, label) for label, path in catalog.trained_models()]
    known = {name for _, name in here}
    listed = [
        (model.path_on(hub), model.name)
        for model in catalog.catalog()
        if model.name not in known and model.path_on(hub) not in downloaded
    ]
    kinds = {"here": here, "runs": runs, "catalog": listed}
    return [_group(t(f"form.models_{kind}", lang), pairs) for kind, pairs in kinds.items() if pairs]


def _group(title: str, pairs: list[tuple[str, str]]) -> Group:
    return {"title": title, "options": pairs}
