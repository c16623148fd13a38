"""Clean and split data sets: run the command as a child, report its progress and result."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from app.i18n import t
from backend.contract.system import child_process
from backend.contract.texts.problems import DataError, Params, Problem, UsageError

Progress = tuple[int, int] | list[dict[str, Any]]
# Options of `tuneboard data clean` in the order of the page.
FLAGS = ("tidy", "exact")
VALUES = ("near", "min_answer", "min_tokens", "max_tokens", "drop", "keep", "not_in")
TEXTS = ("drop", "keep")  # white space is part of a pattern
WHOLE = ("min_answer", "min_tokens", "max_tokens", "seed")  # whole numbers, sent as text
SHARES = {"near": (0.5, 1.0), "ratio": (0.01, 0.5)}  # numbers, and their closed ranges
STEPS = (*FLAGS, *VALUES)


@dataclass(frozen=True)
class Job:
    """A data set and its registry, whether existing sets are replaced, an event that stops it."""

    name: str
    dataset_dir: str
    overwrite: bool = False
    stop: Event = field(default_factory=Event)


def has_steps(wish: Mapping[str, Any]) -> bool:
    """Whether any step is chosen."""
    return any(wish.get(name) not in (None, False) and _plain(wish[name]) for name in STEPS)


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _to_option(name: str, value: Any) -> str:
    """A value as an option of the command; "" where the box is empty. Raises UsageError."""
    if name in TEXTS:
        return str(value or "")
    text = _plain(value)
    if name in WHOLE and text and not text.isdecimal():
        raise UsageError(Problem(code="not_int", field=name, params={"value": text[:40]}))
    if name in SHARES and text:
        _require_share(name, text)
    return text


def _require_share(name: str, text: str) -> None:
    low, high = SHARES[name]
    try:
        fits = low <= float(text) <= high
    except ValueError:
        raise UsageError(
            Problem(code="not_number", field=name, params={"value": text[:40]})
        ) from None
    if not fits:
        params: Params = {"value": text[:40], "low": low, "high": high}
        raise UsageError(Problem(code="out_of_range", field=name, params=params))


def clean(job: Job, into: str, wish: Mapping[str, Any], model: str = "") -> Iterator[Progress]:
    """Yield (rows done, all rows) again and again, then the report; all rows are 0 while unknown.

    Raises TuneboardError, and Stopped once the job's `stop` is set. The child ends with the
    iterator, however that ends, and leaves nothing behind.
    """
    options = {name: _to_option(name, wish.get(name)) for name in VALUES}
    words = [f"--{name}" for name in FLAGS if wish.get(name)]
    words += [f"--{name}={value}" for name, value in options.items() if value]
    if model and (options["min_tokens"] or options["max_tokens"]):
        words.append(f"--model_name_or_path={model}")
    yield from _run("clean", job, [f"--into={into}", *words])


def split(job: Job, names: tuple[str, str], ratio: str, seed: str) -> Iterator[Progress]:
    """As `clean`; the reports are those of both new sets."""
    words = [f"--names={','.join(names)}", f"--ratio={_to_option('ratio', ratio)}"]
    words += [f"--seed={seed_option}"] if (seed_option := _to_option("seed", seed)) else []
    yield from _run("split", job, words)


def report(reports: Sequence[Mapping[str, Any]], lang: str) -> dict[str, list[Any]]:
    """What was kept in lines; what was removed and why, each with the first row, as items."""
    lines: list[str] = []
    items: list[dict[str, str]] = []
    for each in reports:
        names = {key: each[key] for key in ("name", "read", "source", "kept")}
        lines.append(t("clean.made", lang, **names))
        if each["shared"]:
            lines.append(t("clean.shared", lang, count=each["shared"]))
        some = [*each["removed"].items()]
        some += [(key, each[key]) for key in ("tidied", "unmeasured") if each[key]["count"]]
        items += [_item(reason, tally, lang) for reason, tally in some]
    return {"lines": lines, "items": items}


def _item(reason: str, tally: Mapping[str, Any], lang: str) -> dict[str, str]:
    rows = ", ".join(map(str, tally["rows"])) + (
        ", …" if tally["count"] > len(tally["rows"]) else ""
    )
    return {
        "text": t(f"clean.reason.{reason}", lang, count=tally["count"], **tally["params"]),
        "summary": t("clean.rows", lang, rows=rows),
        "example": tally["example"],
    }


def _run(command: str, job: Job, words: list[str]) -> Iterator[Progress]:
    words += ["--overwrite"] if job.overwrite else []
    words += ["--dataset_dir", job.dataset_dir, "--json", "--progress"]
    argv = child_process.command("data", command, job.name, *words)
    outcome = yield from child_process.follow(argv, _progress, stop=job.stop)
    if outcome.code or not outcome.out.strip():
        params = {"name": job.name, "reason": outcome.words or "-"}
        raise DataError(Problem(code="clean_failed", params=params))
    reports = json.loads(outcome.out)
    yield reports if isinstance(reports, list) else [reports]


def _progress(line: str) -> tuple[int, int] | None:
    done, _, total = line.strip().partition(" ")
    return (int(done), int(total)) if done.isdecimal() and total.isdecimal() else None
