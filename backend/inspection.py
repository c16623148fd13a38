"""Rows as the model will see them: `python -m backend.inspection tokens --dataset X ...`.

Prints a JSON line an example: messages, text, input_ids, labels, tokens, by the code that trains.
"""

import json
import sys
from itertools import islice

from backend.contract.arguments import from_argv, resolved
from backend.contract.problems import Problem, TuneboardError, UsageError
from backend.data import sources, templates, tokens
from backend.data.spans import written
from backend.model import load


def main(argv: list[str] | None = None) -> int:
    """`tokens`, then train arguments and --rows first:last; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] != ["tokens"]:
            raise UsageError(Problem(code="inspection_usage"))
        for line in inspect_tokens(words[1:]):
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    except TuneboardError as error:
        sys.stderr.write(str(error) + "\n")
        return error.exit_code
    return 0


def inspect_tokens(words: list[str]) -> list[dict[str, object]]:
    """The examples of rows first:last (from 0) of the data sets. Raises TuneboardError."""
    first, last, words = _rows(words)
    values, problems = from_argv(words, "train")
    if problems:
        raise UsageError(*problems)
    values = resolved(values)
    template = templates.load(values, load.tokenizer(values))
    policy = tokens.Policy.of(values)
    read = sources.read({**values, "max_samples": last}, "dataset")
    lines: list[dict[str, object]] = []
    for one in islice(read.conversations, first, last):
        found = written(template, one.messages, one.tools, policy.mask_history)
        for part, example in zip(found, tokens.encode(found, template, policy), strict=True):
            lines.append(
                {
                    "messages": one.messages,
                    "text": part.text,
                    "input_ids": example.ids,
                    "labels": example.labels,
                    "tokens": [template.tokenizer.decode([token]) for token in example.ids],
                }
            )
    return lines


def _rows(words: list[str]) -> tuple[int, int, list[str]]:
    """The numbers of --rows first:last, and the other words."""
    if "--rows" not in words:
        return 0, 3, words
    at = words.index("--rows")
    first, colon, last = "".join(words[at + 1 : at + 2]).partition(":")
    if not (colon and first.isdecimal() and last.isdecimal()):
        raise UsageError(Problem(code="inspection_usage"))
    return int(first), int(last), words[:at] + words[at + 2 :]


if __name__ == "__main__":
    sys.exit(main())
