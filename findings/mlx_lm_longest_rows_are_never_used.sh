#!/usr/bin/env bash
# mlx-lm 0.32.2 (tuner.trainer.iterate_batches) with mlx 0.32.4 on a CPU.
# Guess: rows that are left over when the rest makes whole batches are others in each epoch, or make
#   a smaller batch; an evaluation takes every row.
# Seen: rows are sorted by length, cut into whole batches once, and only these batches are shuffled.
#   The rest is dropped for good, and it is always the longest rows: with 10 rows in batches of 4 the
#   two longest are learned in no epoch, and no evaluation takes them (here 31 % of the tokens).
# Output (the lengths of rows that were never in a batch):
#   25 epochs in batches of 4   18 20
#   25 epochs in batches of 3   20
#   evaluation in batches of 4  18 20
#   evaluation in batches of 5  -
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mlx-lm==0.32.2 mlx==0.32.4 mlx-cpu==0.32.4 transformers==5.23.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from itertools import islice

from mlx_lm.tuner.trainer import iterate_batches

LENGTHS = [5, 7, 8, 9, 10, 11, 12, 13, 18, 20]
rows = [([length] * length, 0) for length in LENGTHS]  # (token ids, length of the prompt)


def missing(batches):
    used = {int(row[0]) for ids, _ in batches for row in ids}
    return [length for length in LENGTHS if length not in used]


def learned(size):
    batches = iterate_batches(rows, size, max_seq_length=64, loop=True, seed=0)
    return missing(islice(batches, 25 * (len(rows) // size)))


def evaluated(size):
    return missing(iterate_batches(rows, size, max_seq_length=64))


seen = {
    "25 epochs in batches of 4": learned(4),
    "25 epochs in batches of 3": learned(3),
    "evaluation in batches of 4": evaluated(4),
    "evaluation in batches of 5": evaluated(5),
}
for title, lengths in seen.items():
    print(f"{title:27} {' '.join(map(str, lengths)) or '-'}")
assert [*seen.values()] == [[18, 20], [20], [18, 20], []], seen
PYTHON
