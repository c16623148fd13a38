"""Read and check the registry of data sets, dataset_info.json, in LLaMA-Factory's format.

Standard library only, and fast: data files are looked for, never read.
"""

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.field import Value
from backend.contract.arguments.fields.stages import PAIRED, SCORED
from backend.contract.arguments.typed import Arguments
from backend.contract.folders import home
from backend.contract.folders.home import REGISTRY as REGISTRY
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem

SETS: tuple[ArgumentName, ...] = ("dataset", "eval_dataset", "known_dataset")  # name data sets
ONLINE = "ONLINE"  # as dataset_dir: names are ids on the hub
REMOTE = "REMOTE:"  # as dataset_dir, before the id of a repository that holds a registry
TEXTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
SUFFIXES = (*TEXTS, ".parquet", ".arrow", ".feather")
PACKED = (".gz", ".zst")  # after one of the text suffixes
# Keys that name a place which Tuneboard cannot read from.
OTHER_PLACES = ("om_hub_url", "script_url", "cloud_file_name")
HUBS = {"huggingface": "hf_hub_url", "modelscope": "ms_hub_url"}
KINDS: Mapping[str, type] = {
    **dict.fromkeys(("file_name", "formatting", "split", "subset", "folder"), str),
    **dict.fromkeys(("columns", "tags"), dict),
    "placeholders": bool,
}
MEDIA = ("images", "videos", "audios")
MEDIA_PROBLEM = "dataset_media"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One data set: a file or folder (`path`) or a hub id, and how its rows are laid out.

    formatting, columns and tags are None where the entry does not set them: then they follow from
    the rows. Where columns or tags are set, those they do not name are absent (LLaMA-Factory's
    rule).
    """

    name: str
    path: Path | None = None
    hub_id: str = ""
    hub: str = "huggingface"  # or modelscope: whose id hub_id is
    elsewhere: str = ""
    formatting: str | None = None
    ranking: bool = False
    subset: str | None = None
    split: str = "train"
    folder: str | None = None
    num_samples: int | None = None
    columns: Mapping[str, str] | None = None
    tags: Mapping[str, str] | None = None
    registered: bool = False  # in dataset_info.json, not only a path or a hub id
    placeholders: bool = False  # {{name}} and {{author}} stand for identity_name, identity_author
    problems: tuple[Problem, ...] = field(default=(), compare=False)


def folder_of(dataset_dir: Value) -> Path:
    """The folder that the argument dataset_dir means: the first place that holds a registry."""
    return home.data(str(dataset_dir or "data"))


def entries(dataset_dir: Value) -> dict[str, Entry]:
    """Every registered data set by name.

    Raises DataError where dataset_info.json is missing, broken (with the line), or on a hub.
    """
    if dataset_dir == ONLINE:
        return {}
    if str(dataset_dir or "").startswith(REMOTE):
        repository = str(dataset_dir).removeprefix(REMOTE)
        raise DataError(_problem("registry_remote", value=str(dataset_dir), repository=repository))
    registry = folder_of(dataset_dir) / REGISTRY
    if not os.path.lexists(registry):
        where = home.describe_places(f"{dataset_dir or 'data'}/{REGISTRY}")
        raise DataError(_problem("registry_missing", path=where))
    return {
        name: parse(name, row if isinstance(row, dict) else {}, registry)
        for name, row in content(registry).items()
    }


def find(name: str, dataset_dir: Value, field: str = "dataset", *, to_learn: bool = True) -> Entry:
    """The data set of this name: registered, else a data file or folder of that path.

    `field` is the argument that named it. A set that is only looked at (not `to_learn`) may hold
    pictures. Raises DataError where it is not registered (with a near name), has no file, lies
    outside the boundary, or is of a place or kind that is not supported.
    """
    if dataset_dir == ONLINE:
        return Entry(name=name, hub_id=name)
    path = home.find(name)
    if is_path(name) and _exists(path, field):
        return Entry(name=name, path=path)
    try:
        registered = entries(dataset_dir)
    except DataError as error:
        params = error.problems[0].params
        raise DataError(Problem(code=error.problems[0].code, field=field, params=params)) from None
    if name not in registered:
        raise DataError(_unknown(name, registered, dataset_dir, field))
    entry = registered[name]
    problems = [problem for problem in entry.problems if to_learn or problem.code != MEDIA_PROBLEM]
    if problems:
        raise DataError(
            *(
                Problem(code=problem.code, field=field, params=problem.params)
                for problem in problems
            )
        )
    if entry.path is not None and not _exists(entry.path, field):
        raise DataError(_problem("dataset_file_missing", field, name=name, path=str(entry.path)))
    return entry


def check(values: Arguments, task: str) -> list[Problem]:
    """The problems of the data sets that the values of a task name."""
    if task not in {"train", "eval", "vocab"}:
        return []
    problems = _check_probabilities(values)
    for argument in SETS:
        for name in names(values[argument]):
            try:
                entry = find(name, values.dataset_dir, argument)
            except DataError as error:
                problems += [each for each in error.problems if each not in problems]
                continue
            if task == "vocab":  # it reads texts of any layout
                continue
            code = _unfit_code(entry, values.stage)
            if code:
                problems.append(_problem(code, argument, name=name, stage=values.stage))
    return problems


def probabilities(joined: Value) -> list[float]:
    """The numbers of interleave_probs, scaled to a sum of 1; [] where there are none."""
    parts = [float(part) for part in str(joined or "").split(",") if part]
    return [part / sum(parts) for part in parts]


def _check_probabilities(values: Arguments) -> list[Problem]:
    """A problem where interleave_probs has not one number for each data set."""
    sets = len(names(values.dataset))
    count = len(probabilities(values.interleave_probs))
    if count in {0, sets} or values.mix_strategy == "concat":
        return []
    return [_problem("interleave_probs", "interleave_probs", sets=sets)]


def _unfit_code(entry: Entry, stage: str) -> str:
    """The code of why a stage cannot learn from a set, as far as its entry says; "" if it can."""
    columns = entry.columns
    pairs = entry.ranking or bool(columns and (columns.get("chosen") or columns.get("rejected")))
    if not entry.registered or stage in SCORED:
        return ""
    if stage in PAIRED:
        return "" if pairs else "dataset_not_ranking"
    if pairs:
        return "dataset_ranking"
    if stage == "kto" and columns is not None and not columns.get("kto_tag"):
        return "dataset_without_tags"
    answers = columns is None or columns.get("response") or columns.get("messages")
    plain = columns and not answers and entry.formatting in {None, "alpaca"}
    return "dataset_plain_text" if plain and stage != "pt" else ""


def names(joined: Value) -> list[str]:
    """The names in the value of a list field, in their order and without repeats."""
    parts = (part.strip() for part in str(joined or "").split(","))
    return list(dict.fromkeys(part for part in parts if part))


def content(registry: Path, *, exact: bool = False) -> dict[str, object]:
    """The content of dataset_info.json. Raises DataError; with `exact` also for a repeated key."""
    hook = _unique if exact else dict
    try:
        with open(registry, "rb", opener=boundary.open_file) as file:
            text = file.read().decode("utf-8-sig")
        mapping = json.loads(text, object_pairs_hook=hook)
    except FileNotFoundError:
        raise DataError(_problem("registry_missing", path=str(registry))) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(_problem("file_unreadable", file=str(registry), reason=reason)) from None
    except UnicodeDecodeError as error:
        raise DataError(_problem("file_not_utf8", file=str(registry), offset=error.start)) from None
    except json.JSONDecodeError as error:
        raise DataError(
            _problem("registry_broken", path=str(registry), line=error.lineno, reason=error.msg)
        ) from None
    except DuplicateName as error:
        params = {"path": str(registry), "key": str(error)}
        raise DataError(Problem(code="registry_duplicate", params=params)) from None
    except (RecursionError, ValueError):  # nested too deeply; a number with too many digits
        raise DataError(_problem("registry_no_mapping", path=str(registry))) from None
    if not isinstance(mapping, dict):
        raise DataError(_problem("registry_no_mapping", path=str(registry)))
    return mapping


class DuplicateName(ValueError):
    """A repeated key. Writing the object again would lose one of the two values."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise DuplicateName(next(name for name in mapping if names.count(name) > 1)[:80])
    return mapping


def parse(name: str, row: Mapping[str, object], registry: Path) -> Entry:
    """An entry of the registry from its JSON; its mistakes are in its problems."""
    file_name, (hub, hub_id) = _text(row, "file_name"), _hub(row)
    elsewhere = "" if hub_id else next((key for key in OTHER_PLACES if row.get(key)), "")
    path = registry.parent / Path(file_name).expanduser() if file_name else None
    entry = Entry(
        name=name,
        path=None if hub_id or elsewhere else path,
        hub_id=hub_id,
        hub=hub,
        elsewhere=elsewhere,
        formatting=_text(row, "formatting") or None,
        ranking=row.get("ranking") is True,
        subset=_text(row, "subset") or None,
        split=_text(row, "split") or "train",
        folder=_text(row, "folder") or None,
        num_samples=_count(row.get("num_samples")),
        columns=_names(row.get("columns")),
        tags=_names(row.get("tags")),
        placeholders=row.get("placeholders") is True,
        registered=True,
    )
    problems = tuple(_entry_problems(entry, row, registry))
    return Entry(**{**vars(entry), "problems": problems})


def _hub(row: Mapping[str, object]) -> tuple[str, str]:
    """The hub and the id there. USE_MODELSCOPE_HUB prefers ModelScope where an entry names both."""
    first = os.environ.get("USE_MODELSCOPE_HUB", "").lower() in {"1", "true", "yes", "on", "y"}
    order = sorted(HUBS, reverse=first)
    hub = next((hub for hub in order if _text(row, HUBS[hub])), "huggingface")
    return hub, _text(row, HUBS[hub])


def _entry_problems(entry: Entry, row: Mapping[str, object], registry: Path) -> list[Problem]:
    place = {"name": entry.name, "path": str(registry)}
    if entry.elsewhere:
        return [Problem(code="dataset_elsewhere", params={**place, "key": entry.elsewhere})]
    problems = []
    if entry.path is None and not entry.hub_id:
        problems.append(Problem(code="dataset_no_place", params=place))
    if entry.formatting not in {None, "alpaca", "sharegpt", "openai"}:
        params = {**place, "value": str(entry.formatting)[:80]}
        problems.append(Problem(code="dataset_formatting", params=params))
    if any(column in MEDIA for column in entry.columns or {}):
        problems.append(Problem(code=MEDIA_PROBLEM, params=place))
    for key, kind in KINDS.items():
        if row.get(key) is not None and not isinstance(row[key], kind):
            problems.append(Problem(code="registry_bad_value", params={**place, "key": key}))
    if row.get("num_samples") is not None and entry.num_samples is None:
        problems.append(Problem(code="registry_bad_value", params={**place, "key": "num_samples"}))
    return problems


def _text(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _names(value: object) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {str(key): name for key, name in value.items() if isinstance(name, str)}


def kind(name: str) -> str:
    """The kind of a file by its name, such as ".json"; a suffix of compression is ignored."""
    path = Path(name.lower())
    return Path(path.stem).suffix if path.suffix in PACKED else path.suffix


def _exists(path: Path, field: str) -> bool:
    """Whether a path exists. Raises DataError where it lies outside the boundary."""
    boundary.require(path, field)
    return os.path.exists(path)  # Path.exists raises for too long a name


def is_path(name: str) -> bool:
    """Whether the name of a data set that is not registered is meant as a path."""
    return "/" in name or kind(name) in SUFFIXES


def _unknown(name: str, known: Mapping[str, Entry], dataset_dir: Value, field: str) -> Problem:
    if kind(name) in SUFFIXES or name.startswith(("/", "~", ".")):
        return _problem("data_file_missing", field, file=home.describe_places(name)[:400])
    path = str(folder_of(dataset_dir) / REGISTRY)
    sound = [known_name for known_name, entry in known.items() if not entry.problems]
    near = difflib.get_close_matches(name, sound, 1, 0.6)
    if near:
        return _problem("dataset_unknown_near", field, name=name[:200], near=near[0], path=path)
    if "/" in name:
        places = home.describe_places(name)[:400]
        return _problem("dataset_nowhere", field, name=name[:200], path=path, places=places)
    return _problem("dataset_unknown", field, name=name[:200], path=path)


def _problem(code: str, field: str = "", **params: str | int | float) -> Problem:
    return Problem(code=code, field=field, params=params)
