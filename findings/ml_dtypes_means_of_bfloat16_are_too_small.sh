#!/usr/bin/env bash
# ml_dtypes 0.6.0 (the bfloat16 and FP8 arrays of NumPy) with NumPy 2.4.6.
# Guess: sum and mean of a bfloat16 array are worked out in float32 and rounded at the end, as torch
#   does it, and as NumPy does it for the mean of its own float16.
# Seen: each sum is kept in the type itself, one number after the other. It stands still as soon as a
#   number is less than half of its last place: a thousand ones are 256, their mean is 0.256 and their
#   variance, which is 0, is 0.256, too. float8_e4m3fn stops at 16. dot, @ and linalg.norm
#   do sum in float32, and so does mean with dtype=float32.
# Output (of 1000 ones):
#   bfloat16       sum  256.000
#   bfloat16       mean 0.256
#   bfloat16       var  0.256
#   bfloat16       dot  1000.000
#   bfloat16       mean 1.000 with dtype=float32
#   float8_e4m3fn  sum  16.000
#   float16        mean 1.000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 ml_dtypes==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import ml_dtypes
import numpy

ones = numpy.ones(1000, ml_dtypes.bfloat16)
rows = [
    ("bfloat16", "sum", ones.sum(), 256, ""),
    ("bfloat16", "mean", ones.mean(), 256 / 1000, ""),
    ("bfloat16", "var", ones.var(), 256 / 1000, ""),
    ("bfloat16", "dot", ones @ ones, 1000, ""),
    ("bfloat16", "mean", ones.mean(dtype=numpy.float32), 1, " with dtype=float32"),
    ("float8_e4m3fn", "sum", ones.astype(ml_dtypes.float8_e4m3fn).sum(), 16, ""),
    ("float16", "mean", ones.astype(numpy.float16).mean(), 1, ""),
]
for kind, name, number, wanted, how in rows:
    print(f"{kind:<14} {name:<4} {float(number):.3f}{how}")
    assert abs(float(number) - wanted) < 0.001, (kind, name)
PYTHON
