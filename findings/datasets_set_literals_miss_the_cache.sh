#!/usr/bin/env bash
# datasets 5.2.0, the fingerprint of Dataset.map.
# Guess: the same function on the same rows has the same fingerprint in each process, so that the
#   second process reads the cache of the first.
# Seen: a set that the function refers to is put in order before it is hashed, a frozenset is not:
#   its order, and with it the fingerprint, follows the hashes of texts, which Python draws anew for
#   each process. Python compiles `in {"a", "b"}` to a frozenset, so a function with a set written
#   out is mapped anew in each process unless PYTHONHASHSEED is set.
# Output: fingerprints of 8 processes
#   a list                               1
#   a set                                1
#   a frozenset                          more than 1
#   a set written out                    more than 1
#   a frozenset, PYTHONHASHSEED=0        1
#   a set written out, PYTHONHASHSEED=0  1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0
cat > "$folder/fingerprints.py" <<'PYTHON'
import json

from datasets import Dataset

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]


def knowing(words):
    return lambda row: {"known": row["text"] in words}


def written_out(row):
    return {"known": row["text"] in {"alpha", "beta", "gamma", "delta", "epsilon"}}


functions = {
    "a list": knowing(WORDS),
    "a set": knowing(set(WORDS)),
    "a frozenset": knowing(frozenset(WORDS)),
    "a set written out": written_out,
}
rows = Dataset.from_dict({"text": ["alpha", "zeta"]})
print(json.dumps({name: rows.map(each)._fingerprint for name, each in functions.items()}))
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import os
import subprocess
import sys


def count_fingerprints(**environment):
    """How many fingerprints each function gets in 8 processes."""
    known = {name: text for name, text in os.environ.items() if name != "PYTHONHASHSEED"}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": sys.argv[1]}
    outputs = [
        subprocess.run(
            [sys.executable, f"{sys.argv[1]}/fingerprints.py"],
            env={**known, **offline, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
        for _ in range(8)
    ]
    seen = [json.loads(output) for output in outputs]
    return {name: len({each[name] for each in seen}) for name in seen[0]}


drawn = count_fingerprints()
fixed = count_fingerprints(PYTHONHASHSEED="0")
for name, count in drawn.items():
    print(f"{name:36} {'more than 1' if count > 1 else 1}")
for name in ("a frozenset", "a set written out"):
    print(f"{name + ', PYTHONHASHSEED=0':36} {fixed[name]}")
assert [count > 1 for count in drawn.values()] == [False, False, True, True], drawn
assert set(fixed.values()) == {1}, fixed
PYTHON
