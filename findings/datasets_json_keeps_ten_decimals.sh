#!/usr/bin/env bash
# datasets 5.2.0 (Dataset.to_json) with pandas 3.1.1.
# Guess: what to_json writes is read back as it was: JSON has no bound on the digits of a number,
#   and json.dumps writes as many as are needed.
# Seen: each float is rounded to ten places after the point, since pandas writes the file and its
#   default is double_precision=10. A probability of 1e-12 comes back as 0, whose logarithm is -inf,
#   while 1e-16 stays (below 1e-15 it is written with an exponent); a learning rate of 2.5e-10 comes
#   back as 2e-10. This holds within lists and dicts, too. Infinity becomes null. to_csv and
#   to_parquet keep all; to_json(..., double_precision=15) still rounds.
# Output (value, and what to_json, to_json with 15 places, to_csv and to_parquet give back):
#   1e-12               0.0           1e-12              1e-12               1e-12
#   2.5e-10             2e-10         2.5e-10            2.5e-10             2.5e-10
#   0.1234567890123456  0.123456789   0.123456789012346  0.1234567890123456  0.1234567890123456
#   1e-16               1e-16         1e-16              1e-16               1e-16
#   inf                 None          None               inf                 inf
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0 pandas==3.1.1
cd "$folder"
HF_HOME="$folder" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PYTHON'
import math

from datasets import Dataset

VALUES = [1e-12, 2.5e-10, 0.1234567890123456, 1e-16, math.inf]
rows = Dataset.from_dict({"value": VALUES, "nested": [{"all": [value]} for value in VALUES]})
rows.to_json("rows.jsonl")
rows.to_json("more.jsonl", double_precision=15)
rows.to_csv("rows.csv")
rows.to_parquet("rows.parquet")
columns = [
    Dataset.from_json("rows.jsonl")["value"],
    Dataset.from_json("more.jsonl")["value"],
    Dataset.from_csv("rows.csv")["value"],
    Dataset.from_parquet("rows.parquet")["value"],
]
columns = [list(column) for column in columns]
for row in zip(VALUES, *columns, strict=True):
    print("{!s:18}  {!s:12}  {!s:17}  {!s:18}  {!s}".format(*row))
nested = [row["all"][0] for row in Dataset.from_json("rows.jsonl")["nested"]]
assert nested == columns[0] == [0.0, 2e-10, 0.123456789, 1e-16, None], (nested, columns)
assert columns[1] == [1e-12, 2.5e-10, 0.123456789012346, 1e-16, None], columns
assert columns[2] == columns[3] == VALUES, columns
PYTHON
