#!/usr/bin/env bash
# safetensors 0.8.0 (safetensors.numpy, save and save_file) beside 0.7.0, with numpy 2.4.6.
# Guess: a transposed array is saved with its values, as np.save does it, or is refused, as
#   safetensors.torch refuses a transposed tensor. The docs ask for contiguous and dense arrays;
#   a transposed one is both (in Fortran's order).
# Seen: 0.7.0 saved the values. 0.8.0 writes the memory as it lies under the new shape, without a
#   word: the weights of a layer that are transposed on the way from Keras or Flax (kernel.T) come
#   back with all values in other places. np.ascontiguousarray before the call helps.
# Output (version: a 2 x 3 array 0 to 5, transposed and saved, as it comes back):
#   0.7.0: [[0, 3], [1, 4], [2, 5]]
#   0.8.0: [[0, 1], [2, 3], [4, 5]]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6
for version in 0.7.0 0.8.0; do
  "$folder/venv/bin/pip" install -q safetensors==$version
  "$folder/venv/bin/python" - "$version" "$folder/arrays.safetensors" <<'PYTHON'
import sys

import numpy as np
from safetensors.numpy import load, load_file, save, save_file

version, file = sys.argv[1:]
array = np.arange(6).reshape(2, 3).T
assert array.flags.f_contiguous
seen = load(save({"kernel": array}))["kernel"].tolist()
save_file({"kernel": array}, file)
assert load_file(file)["kernel"].tolist() == seen, seen
print(f"{version}: {seen}")
right, scrambled = array.tolist(), [[0, 1], [2, 3], [4, 5]]
assert seen == {"0.7.0": right, "0.8.0": scrambled}[version], seen
PYTHON
done
