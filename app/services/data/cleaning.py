"""Cleaning and splitting of data sets: the command as a child, how far it is, its report."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from app.i18n import t
from app.services.data.row_html import escaped
from backend.contract.base import child_process
from backend.contract.base.problems import DataError, Problem, UsageError

Told = tuple[int, int] | list[dict[str, Any]]
# What a person may choose, in the page's order: options of `tuneboard data clean`.
FLAGS = ("tidy", "exact")
VALUES = ("near", "min_answer", "min_tokens", "max_tokens", "drop", "keep", "not_in")
TEXTS = ("drop", "keep")  # white space is part of a pattern
WHOLE = ("min_answer", "min_tokens", "max_tokens", "seed")  # numbers, as they are typed
STEPS = (*FLAGS, *VALUES)


@dataclass(frozen=True)
class Job:
    """Which set, in which registry; whether sets of the new names are replaced; what stops it."""

    name: str
    dataset_dir: str
    overwrite: bool = False
    stop: Event = field(default_factory=Event)


def chosen(wish: Mapping[str, Any]) -> bool:
    """Whether any step is asked for."""
    return any(wish.get(name) not in (None, False) and _plain(wish[name]) for name in STEPS)


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _told(name: str, value: Any) -> str:
    """A value as the command takes it; "" where the box is empty. Raises UsageError."""
    if name in TEXTS:
        return str(value or "")
    text = _plain(value)
    if name in WHOLE and text and not text.isdecimal():
        raise UsageError(Problem(code="not_int", field=name, params={"value": text[:40]}))
    return text


def clean(job: Job, into: str, wish: Mapping[str, Any], model: str = "") -> Iterator[Told]:
    """Rows done and rows in all (0: not known), again and again, at last the report.

    Raises TuneboardError, and Stopped once the job's `stop` is set. However it ends, closing the
    iterator included, the child ends with it and leaves nothing behind.
    """
    given = {name: _told(name, wish.get(name)) for name in VALUES}
    words = [f"--{name}" for name in FLAGS if wish.get(name)]
    words += [f"--{name}={value}" for name, value in given.items() if value]
    if model and (given["min_tokens"] or given["max_tokens"]):
        words.append(f"--model_name_or_path={model}")
    yield from _run("clean", job, [f"--into={into}", *words])


def split(job: Job, names: tuple[str, str], ratio: float, seed: str) -> Iterator[Told]:
    """As clean; the reports of both sets."""
    words = [f"--names={','.join(names)}", f"--ratio={ratio}"]
    words += [f"--seed={given}"] if (given := _told("seed", seed)) else []
    yield from _run("split", job, words)


def report(reports: Sequence[Mapping[str, Any]], lang: str) -> str:
    """What was kept, what was removed and why, each with the first row, for gr.Markdown."""
    return "".join(_one(each, lang) for each in reports)


def _one(found: Mapping[str, Any], lang: str) -> str:
    read, source, kept = (found[key] for key in ("read", "source", "kept"))
    lines = [t("clean.made", lang, name=found["name"], read=read, source=source, kept=kept)]
    if found["shared"]:
        lines.append(t("clean.shared", lang, count=found["shared"]))
    head = "".join(f"<p>{escaped(line)}</p>" for line in lines)
    some = [*found["removed"].items()]
    some += [(key, found[key]) for key in ("tidied", "unmeasured") if found[key]["count"]]
    items = "".join(f"<li>{_some(reason, each, lang)}</li>" for reason, each in some)
    return f'{head}<ul class="clean-report">{items}</ul>' if items else head


def _some(reason: str, some: Mapping[str, Any], lang: str) -> str:
    said = t(f"clean.reason.{reason}", lang, count=some["count"], **some["params"])
    rows = ", ".join(map(str, some["rows"])) + (", …" if some["count"] > len(some["rows"]) else "")
    summary = t("clean.rows", lang, rows=rows)
    return (
        f"{escaped(said)}<details><summary>{escaped(summary)}</summary>"
        f'<pre class="seen-raw">{escaped(some["example"])}</pre></details>'
    )


def _run(command: str, job: Job, words: list[str]) -> Iterator[Told]:
    words += ["--overwrite"] if job.overwrite else []
    words += ["--dataset_dir", job.dataset_dir, "--json", "--progress"]
    argv = child_process.command("data", command, job.name, *words)
    ended = yield from child_process.follow(argv, _progress, stop=job.stop)
    if ended.code or not ended.out.strip():
        params = {"name": job.name, "reason": ended.words or "-"}
        raise DataError(Problem(code="clean_failed", params=params))
    reports = json.loads(ended.out)
    yield reports if isinstance(reports, list) else [reports]


def _progress(line: str) -> tuple[int, int] | None:
    done, _, total = line.strip().partition(" ")
    return (int(done), int(total)) if done.isdecimal() and total.isdecimal() else None
