#!/usr/bin/env bash
# lm-format-enforcer 0.11.3 (JsonSchemaParser, as its integrations use it) with pydantic 2.
# Guess: an array without maxItems may be of any length, and a keyword that cannot be enforced is
#   refused with an error, as a pattern beside a maxLength is.
# Seen: it ends at 20 items (LMFE_MAX_JSON_ARRAY_LENGTH): a model that lists 25 has to stop, and the
#   answer looks whole. minimum, maximum, exclusive bounds and multipleOf of numbers are left out
#   without a word. A pattern has to match the whole text, where JSON Schema searches in it.
# Output (a text, and whether it may be written):
#   array            20 items  True
#   array            21 items  False
#   5 to 120         121       True
#   multipleOf 5     6         True
#   pattern b        "abc"     False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q lm-format-enforcer==0.11.3 'pydantic<3'
"$folder/venv/bin/python" - <<'PYTHON'
import json

from lmformatenforcer import JsonSchemaParser


def may_write(schema: dict, text: str) -> bool:
    """Whether a model that is held to the schema may write the text and end there."""
    parser = JsonSchemaParser(schema)
    for letter in text:
        if letter not in parser.get_allowed_characters():
            return False
        parser = parser.add_character(letter)
    return parser.can_end()


array = {"type": "array", "items": {"type": "integer"}}
rows = [
    ("array", array, json.dumps([1] * 20), "20 items", True),
    ("array", array, json.dumps([1] * 21), "21 items", False),
    ("5 to 120", {"type": "integer", "minimum": 5, "maximum": 120}, "121", "121", True),
    ("multipleOf 5", {"type": "integer", "multipleOf": 5}, "6", "6", True),
    ("pattern b", {"type": "string", "pattern": "b"}, '"abc"', '"abc"', False),
]
for name, schema, text, shown, wanted in rows:
    print(f"{name:<16} {shown:<9} {may_write(schema, text)}")
    assert may_write(schema, text) is wanted, name
PYTHON
