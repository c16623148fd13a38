"""`tuneboard data register` and `remove`: entries of dataset_info.json."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.cli.command_words import PLACES, say_json
from backend.contract.registry import registry
from backend.contract.registry.dataset_info import HUBS
from backend.contract.texts.locales import t
from backend.contract.texts.problems import DataError, Params, Problem, UsageError
from backend.contract.texts.terminal_text import say
from backend.datafiles import entering
from backend.datafiles.detect import Entry, Proposal, entry_for
from backend.datafiles.entering import Example
from backend.datafiles.layouts import COLUMNS
from backend.datafiles.samples import require_readable, sample
from backend.datafiles.turns import OPENAI

LEAST = 0.5  # confidence with which a proposal is taken without being asked for


def register_set(options: Namespace) -> int:
    """`register FILE|--hub ID --name X [...]`. Raises UsageError, DataError, DiskFullError."""
    if bool(options.file) == bool(options.hub):
        raise _usage_error(t("data.register.one_place"))
    name = options.name or _suggest_name(options)
    registry.check_entry(name, {"file_name": "x"}, options.dataset_dir)
    proposal, example = (_propose_hub(options), None) if options.hub else _propose_local(options)
    doubts = (
        [] if options.anyway else _check_readable(options) or _check_proposal(proposal, example)
    )
    if not doubts:
        registry.register(name, proposal.entry, options.dataset_dir, overwrite=options.overwrite)
    _print_result(name, proposal, example, options.json, registered=not doubts)
    if doubts:
        raise DataError(*doubts)
    return 0


def remove_set(options: Namespace) -> int:
    """`remove NAME`: the entry goes, the files stay. Raises DataError."""
    registry.remove(options.name, options.dataset_dir)
    if options.json:
        say_json({"removed": options.name})
    else:
        say(t("data.removed", name=options.name))
    return 0


def _suggest_name(options: Namespace) -> str:
    """The name that a file or id suggests: without folder and endings."""
    last = Path(str(options.file or options.hub)).name
    return last.split(".")[0] or last


def _propose_local(options: Namespace) -> tuple[Proposal, Example]:
    """The entry of a file or folder, as the options or detection say, and its first row."""
    path, layout = Path(options.file), _layout_of(options)
    if layout:
        first = sample(entering.file_of(path))
        kind = entering.kind_of(layout)
        proposal = Proposal(layout, kind, 1.0, dict(layout.get("columns") or {}))
    else:
        proposal, first = entering.propose_file(path)
    example = entering.example(proposal.entry, first, proposal.stage)
    if example.problem and example.problem.code == "columns_missing":
        raise DataError(example.problem)
    place = {"file_name": entering.place(path, options.dataset_dir)}
    return replace(proposal, entry={**place, **proposal.entry, **_sample_count(options)}), example


def _check_readable(options: Namespace) -> list[Problem]:
    """What is wrong with a file in which a row further on cannot be read."""
    if options.file:
        try:
            require_readable(entering.file_of(Path(options.file)))
        except DataError as error:
            return list(error.problems)
    return []


def _check_proposal(proposal: Proposal, example: Example | None) -> list[Problem]:
    """Why this should not be registered unseen: a mere guess, a first row that is refused."""
    doubts = []
    if proposal.confidence < LEAST:
        params: Params = {"confidence": round(proposal.confidence * 100)}
        doubts.append(Problem(code="register_unsure", params=params))
    if example is not None and example.problem is not None:
        params = {"stage": proposal.stage, "reason": example.problem.text()}
        doubts.append(Problem(code="register_first_row", params=params))
    return doubts


def _sample_count(options: Namespace) -> Entry:
    return {} if options.num_samples is None else {"num_samples": options.num_samples}


def _propose_hub(options: Namespace) -> Proposal:
    """The entry of a set on a hub, which is asked for it. Raises DataError where it has none."""
    from backend.data.hub import is_known

    if not is_known(options.hub, options.hub_name):
        raise DataError(Problem(code="dataset_hub_unreachable", params={"name": options.hub}))
    places = {place: getattr(options, place) for place in PLACES if getattr(options, place)}
    entry = {
        HUBS[options.hub_name]: options.hub,
        **_layout_of(options),
        **places,
        **_sample_count(options),
    }
    return Proposal(entry, entering.kind_of(entry), 1.0)


def _layout_of(options: Namespace) -> Entry:
    """The layout that the options describe; {} where they describe none."""
    columns, tags = (
        _parse_pairs(options.column, (*COLUMNS, "messages")),
        _parse_pairs(options.tag, tuple(OPENAI)),
    )
    if not (columns or tags or options.formatting or options.ranking):
        return {}
    formatting = options.formatting or ("sharegpt" if columns.get("messages") else "alpaca")
    return entry_for(columns, formatting=formatting, tags=tags, ranking=options.ranking)


def _parse_pairs(words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """prompt=q -> {"prompt": "q"}. Raises UsageError for another key."""
    pairs = dict(word.partition("=")[::2] for word in words)
    for key, name in pairs.items():
        if key not in known or not name:
            raise _usage_error(t("data.register.pair", key=key[:80], known=", ".join(known)))
    return pairs


def _print_result(
    name: str, proposal: Proposal, example: Example | None, as_json: bool, *, registered: bool
) -> None:
    if as_json:
        line: dict[str, Any] = {"name": name, "entry": proposal.entry, "kind": proposal.kind}
        line["registered"] = registered
        line |= {
            "confidence": proposal.confidence,
            "reasons": [reason.text() for reason in proposal.reasons],
        }
        say_json({**line, "example": example.to_json() if example else None})
        return
    for reason in proposal.reasons:
        say(reason.text())
    if example and not example.problem:
        say(t("data.register.example", confidence=round(proposal.confidence * 100)))
        say(example.text())
    if registered:
        say(t("data.registered", name=name))


def _usage_error(reason: str) -> UsageError:
    params = {"command": "tuneboard data register", "reason": reason}
    return UsageError(Problem(code="command_usage", params=params))
