#!/usr/bin/env bash
# outlines-core 0.2.14 (json_schema.build_regex_from_schema).
# Guess: a text that the expression of a schema matches is JSON, and what of the schema an
#   expression cannot say is refused with an error.
# Seen: allOf, which pydantic and OpenAPI write for inheritance, is written as one value behind the
#   other: {"a": 1}{"b": 2}, which is no JSON, is the only kind of text that matches, and one object
#   with both does not. A pattern beside a maxLength is left out without a word, and a date-time
#   may end in Z or in nothing, but not in +02:00.
# Output (a text, and whether the expression matches the whole of it):
#   allOf        {"a":1,"b":2}                 False
#   allOf        {"a":1}{"b":2}                True
#   pattern      "xyz"                         False
#   + maxLength  "xyz"                         True
#   date-time    "2026-11-29T10:00:00"         True
#   date-time    "2026-11-29T10:00:00+02:00"   False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q outlines-core==0.2.14
"$folder/venv/bin/python" - <<'PYTHON'
import json
import re

from outlines_core.json_schema import build_regex_from_schema


def with_number(name):
    return {"type": "object", "properties": {name: {"type": "integer"}}, "required": [name]}


BOTH = {"allOf": [with_number("a"), with_number("b")]}
DIGITS = {"type": "string", "pattern": "^[0-9]+$"}
MOMENT = {"type": "string", "format": "date-time"}
CASES = [
    ("allOf", BOTH, '{"a":1,"b":2}', False),
    ("allOf", BOTH, '{"a":1}{"b":2}', True),
    ("pattern", DIGITS, '"xyz"', False),
    ("+ maxLength", {**DIGITS, "maxLength": 5}, '"xyz"', True),
    ("date-time", MOMENT, '"2026-11-29T10:00:00"', True),
    ("date-time", MOMENT, '"2026-11-29T10:00:00+02:00"', False),
]
for title, schema, text, wanted in CASES:
    expression = build_regex_from_schema(json.dumps(schema))
    matches = re.fullmatch(expression, text) is not None
    print(f"{title:12} {text:29} {matches}")
    assert matches == wanted, (title, text, matches)
PYTHON
