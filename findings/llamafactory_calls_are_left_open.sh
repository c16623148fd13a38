#!/usr/bin/env bash
# llamafactory 0.9.5 (data/tool_utils.py: the texts of calls in training rows, and their reader).
# Guess: what a format writes for a call, its own reader reads: both stand in one class, for the
#   rows that are learned and for the answers of the model that learned them.
# Seen: GLM-4.5's calls are written without the </tool_call> at their end, MiniMax-M2's without the
#   <minimax:tool_call> around them, and Seed-OSS's with <function=rain for <function=rain>. The
#   readers of the first two find no call in such a text, and a model that learned it writes calls
#   that only it knows. LFM2 writes quotes within a text as they are; such calls are not read, too.
# Output (format, argument, what the reader finds):
#   qwen       Rome         Rome
#   qwen       "Rome"       "Rome"
#   glm4_moe   Rome         -
#   minimax2   Rome         -
#   lfm2       Rome         Rome
#   lfm2       "Rome"       -
#   seed_oss writes <function=rain
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps llamafactory==0.9.5 typing_extensions==4.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from importlib.metadata import files
from types import ModuleType

# The module needs nothing but the name of a type; its package would load torch.
(path,) = (file.locate() for file in files("llamafactory") if file.name == "tool_utils.py")
for name, folder in (("llamafactory", path.parents[1]), ("llamafactory.data", path.parent)):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]
sys.modules["llamafactory.data.data_utils"] = ModuleType("llamafactory.data.data_utils")
sys.modules["llamafactory.data.data_utils"].SLOTS = list

from llamafactory.data.tool_utils import FunctionCall, get_tool_utils

CASES = [
    ("qwen", "Rome", "Rome"),
    ("qwen", '"Rome"', '"Rome"'),
    ("glm4_moe", "Rome", "-"),
    ("minimax2", "Rome", "-"),
    ("lfm2", "Rome", "Rome"),
    ("lfm2", '"Rome"', "-"),
]


def written(name, city):
    call = FunctionCall("rain", json.dumps({"city": city}))
    return get_tool_utils(name).function_formatter([call])


for name, city, wanted in CASES:
    calls = get_tool_utils(name).tool_extractor(written(name, city))
    read = "-" if isinstance(calls, str) else json.loads(calls[0].arguments)["city"]
    print(f"{name:10} {city:12} {read}")
    assert read == wanted, (name, city, calls)
line = written("seed_oss", "Rome").strip().splitlines()[1]
print(f"seed_oss writes {line}")
assert line == "<function=rain"
assert "</tool_call>" not in written("glm4_moe", "Rome")
assert "<minimax:tool_call>" not in written("minimax2", "Rome")
PYTHON
