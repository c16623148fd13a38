#!/usr/bin/env bash
# datasets 5.2.0, IterableDataset.with_format.
# Guess: whoever iterates over a data set gets a dict a row, whatever the format of its values.
# Seen: so it is without a format and with "numpy"; with "arrow" a row is a pyarrow.Table, and with
#   "pandas" a DataFrame, each with one row.
# Output:
#   None    dict
#   numpy   dict
#   arrow   Table of 1 row
#   pandas  DataFrame of 1 row
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0
HF_HUB_OFFLINE=1 HF_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON'
from datasets import IterableDataset

rows = IterableDataset.from_generator(lambda: iter([{"text": "a"}, {"text": "b"}]))
seen = {}
for name in (None, "numpy", "arrow", "pandas"):
    kinds = {
        type(row).__name__ if isinstance(row, dict) else f"{type(row).__name__} of {len(row)} row"
        for row in rows.with_format(name)
    }
    seen[name] = " ".join(sorted(kinds))
    print(f"{name!s:7} {seen[name]}")
assert [*seen.values()] == ["dict", "dict", "Table of 1 row", "DataFrame of 1 row"], seen
PYTHON
