#!/usr/bin/env bash
# datasets 5.2.0 (Dataset.map) with pyarrow 26.0.1.
# Guess: where a function puts a text in place of a number, the column holds texts from then on.
# Seen: this depends on the text. What can be read as the old type is turned back into it, so the
#   padded "007" is the number 7 again, and a 2 among truth values is True; "a7" and "1.50" stay
#   texts. A stream of the same rows (to_iterable_dataset) keeps all of them.
# Output (old value, what the function returns, map, map of a stream):
#   1      '007'   7       '007'
#   1      'a7'    'a7'    'a7'
#   1      '1.50'  '1.50'  '1.50'
#   1.5    '1.50'  1.5     '1.50'
#   False  2       True    2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0 pyarrow==26.0.1
HF_HOME="$folder/home" "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from datasets import Dataset

CASES = [
    (1, "007", 7),
    (1, "a7", "a7"),
    (1, "1.50", "1.50"),
    (1.5, "1.50", 1.5),
    (False, 2, True),
]
for old, new, wanted in CASES:
    rows = Dataset.from_dict({"x": [old, old]})
    mapped = rows.map(lambda _, new=new: {"x": new})[0]["x"]
    streamed = next(iter(rows.to_iterable_dataset().map(lambda _, new=new: {"x": new})))["x"]
    print(f"{old!s:6} {new!r:7} {mapped!r:7} {streamed!r}")
    assert (mapped, type(mapped)) == (wanted, type(wanted)), (old, new, mapped)
    assert (streamed, type(streamed)) == (new, type(new)), (old, new, streamed)
PYTHON
