"""Show rows as the model sees them, for `tuneboard data tokens` and `stats` and for the page.

The page's child, `python -m backend.data.inspection`, answers requests, a JSON line each, until
its standard input ends or no request came for IDLE_S seconds:

    {"do": "tokens", "values": {...}, "first": 0, "count": 5}
    {"do": "stats", "values": {...}, "exact": false}

with {"progress": [done, all]} any number of times, then {"answer": {...}} or {"problems": [...]}.
The code that trains makes all of it.
"""

import itertools
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from backend.contract.arguments.arguments import from_argv, parse, resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import require_rows
from backend.contract.runs import run_names
from backend.contract.system import warm_child
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem, UsageError, errors
from backend.contract.texts.terminal_text import say
from backend.data import lengths, row_range, template_check, templates, tokens
from backend.data.rendering import Template
from backend.datafiles.values import dumps
from backend.model import load

IDLE_S = 900.0
CHECKED = 200  # rows that the template is checked on
HELD = 4  # tokenizers that stay loaded
# Arguments that change neither tokenizer nor template.
OF_DATA = {
    "dataset",
    "dataset_dir",
    "max_samples",
    "cutoff_len",
    "packing",
    "neat_packing",
    "per_device_train_batch_size",
    "train_on_prompt",
    "mask_history",
}

LoadedTemplate = tuple[Template, str | None]  # the template, and the tokenizer's own as jinja
Progress = Callable[[int, int], None]


def tokens_command(options: Namespace) -> int:
    """Run `tuneboard data tokens ... [--rows 0:3] [--json]`. Raises TuneboardError."""
    first, last = _span(options.rows)
    values = read_values(options.more)
    opened = _open_template(values)
    lines, notices = _inspect_rows(values, opened, first, last - first)
    for line in lines:
        if options.json:
            say(dumps(_word_refusal(line)))
        else:
            say(_mark_learned(line, opened[0].tokenizer))
    _notify(notices)
    return 0


def stats_command(options: Namespace) -> int:
    """Run `tuneboard data stats ... [--exact] [--json]`. Raises TuneboardError."""
    values = read_values(options.more)
    progress: Progress = _progress if sys.stderr.isatty() else lambda *_: None
    counts, notices = _stats(values, _open_template(values), options.exact, progress)
    if options.json:
        notes = [problem.text() for problem in notices]
        say(json.dumps({**counts, "notices": notes}, ensure_ascii=False, indent=2))
        return 0
    for line in in_words(counts):
        say(line)
    _notify(notices)
    return 0


def inspect_tokens(words: list[str], rows: str = "0:3") -> list[dict[str, Any]]:
    """The lines of `tokens` for rows first:last of the data sets. Raises TuneboardError."""
    first, last = _span(rows)
    values = read_values(words)
    return _inspect_rows(values, _open_template(values), first, last - first)[0]


def read_values(words: list[str]) -> Arguments:
    """The values that words ask for, as those of a training. Raises UsageError."""
    values, problems = from_argv(words, "train")
    if errors(problems):
        raise UsageError(*errors(problems))
    _notify(problems)
    return resolve(run_names.replace_names(values)[0])


def _open_template(values: Arguments) -> LoadedTemplate:
    """Load the template of these values. Raises ModelError, UsageError (no set, no model)."""
    require_rows(values)
    tokenizer = load.tokenizer(values)
    own = templates.own_template(tokenizer) or None
    return templates.load(values, tokenizer), own


def _inspect_rows(
    values: Arguments, opened: LoadedTemplate, first: int, count: int
) -> tuple[list[dict[str, Any]], list[Problem]]:
    template, own = opened
    seen = row_range.inspect_rows(values, template, first, count)
    return seen.lines, template_check.check(
        template, own, values, seen.conversations, seen.examples
    )


def _stats(
    values: Arguments, opened: LoadedTemplate, exact: bool, progress: Progress
) -> tuple[dict[str, Any], list[Problem]]:
    template, own = opened
    counts = lengths.stats(lengths.measure(values, template, exact, progress), values)
    seen = row_range.inspect_rows(
        values.replace(packing=False, neat_packing=False), template, 0, CHECKED
    )
    return counts, template_check.check(template, own, values, seen.conversations, seen.examples)


def serve() -> int:
    """Answer requests of the page until it ends, or none came for IDLE_S seconds."""
    held: dict[str, LoadedTemplate] = {}
    return warm_child.serve(lambda asked, progress: _answer(asked, held, progress), IDLE_S)


def _answer(
    asked: Mapping[str, Any], held: dict[str, LoadedTemplate], progress: Progress
) -> dict[str, Any]:
    parsed, problems = parse(asked["values"], "train")
    if errors(problems):
        raise UsageError(*errors(problems))
    values = resolve(parsed)
    opened = reuse_template(values, held)
    if asked["do"] == "stats":
        answer, notices = _stats(values, opened, bool(asked.get("exact")), progress)
    else:
        template = opened[0]
        seen = row_range.inspect_rows(values, template, asked["first"], asked["count"])
        notices = template_check.check(*opened, values, seen.conversations, seen.examples)
        special = sorted({*template.tokenizer.all_special_ids, *_special_ids(template.tokenizer)})
        lines = [_draw_line(line, template.tokenizer) for line in seen.lines]
        answer = {"lines": lines, "total": seen.total, "special": special}
    return {**answer, "notices": [notice.to_json() for notice in notices]}


def _special_ids(tokenizer: Any) -> list[int]:
    return [index for index, token in tokenizer.added_tokens_decoder.items() if token.special]


def reuse_template(values: Arguments, held: dict[str, LoadedTemplate]) -> LoadedTemplate:
    """The template of an earlier request while neither arguments nor files have changed, else a
    newly loaded one."""
    if not values.dataset or not values.model_name_or_path:
        return _open_template(values)
    folder = load.base_folder(values)
    files = sorted((file.name, file.stat().st_mtime_ns) for file in folder.glob("*.js*"))
    files += [(file.name, file.stat().st_mtime_ns) for file in folder.glob("*.jinja")]
    rest = {name: value for name, value in values.as_mapping().items() if name not in OF_DATA}
    key = json.dumps([rest, str(folder), files], sort_keys=True, default=str)
    if key not in held:
        while len(held) >= HELD:
            del held[next(iter(held))]
        held[key] = _open_template(values)
    return held[key]


def _draw_line(line: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """The line with its tokens as the page draws them: [text, ids, learned], with tokens that
    are parts of one character together."""
    for side in row_range.SIDES:
        if f"{side}input_ids" in line:
            ids = line.pop(f"{side}input_ids")
            labels = line.pop(f"{side}labels", [tokens.IGNORED] * len(ids))
            line.pop(f"{side}tokens")
            line.pop(f"{side}text")
            line[f"{side}pieces"] = _pieces(ids, labels, tokenizer)
    line.pop("position_ids", None)
    return line


def _pieces(ids: list[int], labels: list[int], tokenizer: Any) -> list[list[Any]]:
    pieces: list[list[Any]] = []
    held: list[int] = []
    for token, label in zip(ids, labels, strict=True):
        learned = label != tokens.IGNORED
        if held and pieces[-1][2] != learned:
            held = []
        text = tokenizer.decode([*held, token])
        if held:
            pieces[-1] = [text, [*held, token], learned]
        else:
            pieces.append([text, [token], learned])
        whole = not text.endswith("\ufffd") or len(held) >= 3
        held = [] if whole else [*held, token]
    return pieces


def _word_refusal(line: dict[str, Any]) -> dict[str, Any]:
    """The line of a refused row with the reason as text; other lines stay."""
    if "refused" not in line:
        return line
    refused = line["refused"]
    return {"row": line["row"], **refused, "problem": Problem.from_json(refused).text()}


def _mark_learned(line: dict[str, Any], tokenizer: Any) -> str:
    """A row as text for the terminal, with learned parts between the marks [[ and ]]."""
    rows = ", ".join(map(str, line.get("rows", [line.get("row")])))
    head = t("inspection.row", row=rows)
    if "refused" in line:
        return f"{head} {_word_refusal(line)['problem']}"
    sides = [side for side in row_range.SIDES if f"{side}text" in line]
    texts = [
        f"{side.rstrip('_') or ''}\n{_brackets(line, side, tokenizer)}".strip() for side in sides
    ]
    return "\n".join([head, *texts, ""])


def _brackets(line: Mapping[str, Any], side: str, tokenizer: Any) -> str:
    labels = line.get(f"{side}labels") or []
    if not labels:
        return str(line[f"{side}text"])
    pairs = zip(line[f"{side}input_ids"], labels, strict=True)
    parts = []
    for learned, group in itertools.groupby(pairs, lambda pair: pair[1] != tokens.IGNORED):
        text = tokenizer.decode([token for token, _ in group])
        parts.append(f"[[{text}]]" if learned else text)
    return "".join(parts)


def in_words(counts: Mapping[str, Any]) -> list[str]:
    """The results of `stats` as lines for the terminal."""
    whole = counts["of"] if counts["of"] is not None else "?"
    lines = [t("inspection.stats.rows", rows=counts["rows"], of=whole, tokens=counts["tokens"])]
    lines += [
        t(
            "inspection.stats.lengths",
            kind=t(f"inspection.kind.{kind}"),
            **counts["lengths"][kind],
        )
        for kind in lengths.KINDS
    ]
    cut, pad = counts["cutoff"], counts["padding"]
    shares = {"rows": f"{cut['share_cut']:.1%}", "tokens": f"{cut['share_lost']:.1%}"}
    lines.append(
        t(
            "inspection.stats.cut",
            limit=cut["cutoff_len"],
            count=cut["rows_cut"],
            lost=cut["tokens_lost"],
            **shares,
        )
    )
    paddings = {"random": f"{pad['random']:.1%}", "grouped": f"{pad['grouped']:.1%}"}
    lines.append(t("inspection.stats.padding", batch=pad["batch_size"], **paddings))
    packed = counts["packing"]
    if packed:
        filled, saved = f"{packed['filled']:.1%}", f"{packed['saved']:.1%}"
        count = packed["sequences"]
        lines.append(t("inspection.stats.packing", count=count, filled=filled, saved=saved))
    return lines


def _notify(notices: list[Problem]) -> None:
    for notice in notices:
        say(f"{t('cli.notice')}: {notice.text()}", sys.stderr)


def _progress(done: int, whole: int) -> None:
    sys.stderr.write(f"\r{done:,} / {whole or '?'}")
    sys.stderr.flush()


def _span(rows: str) -> tuple[int, int]:
    """The two numbers of --rows first:last. Raises UsageError."""
    first, colon, last = rows.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal()):
        raise UsageError(Problem(code="inspection_usage"))
    return int(first), int(last)


if __name__ == "__main__":
    sys.exit(serve())
