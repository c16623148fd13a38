#!/usr/bin/env bash
# datasets 5.2.0 (Dataset.from_list and Dataset.from_generator).
# Guess: rows that do not all have the same keys make one column for each key, None where a row
#   lacks it, as load_dataset makes them of the same rows in a JSON file; or else an error.
# Seen: both keep the keys of the first row and drop the others without a word. One level down all
#   keys stay, and so does a key that only later rows lack: the row that happens to stand first
#   decides whether the tools, the system prompt or the thought of a conversation are learned.
# Output:
#   from_list            messages
#   from_generator       messages
#   from_list, reversed  messages, tools
#   JSON file            messages, tools
#   one level down       x, y
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q datasets==5.2.0
cd "$folder"
HF_HOME="$folder" HF_HUB_OFFLINE=1 venv/bin/python - 2>/dev/null <<'PYTHON'
import json
from pathlib import Path

from datasets import Dataset

ROWS = [{"messages": "Hi"}, {"messages": "Is it cold in Bern?", "tools": "weather"}]
Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
nested = Dataset.from_list([{"row": {"x": 1}}, {"row": {"x": 2, "y": 3}}])
seen = {
    "from_list": Dataset.from_list(ROWS).column_names,
    "from_generator": Dataset.from_generator(lambda: iter(ROWS)).column_names,
    "from_list, reversed": Dataset.from_list(ROWS[::-1]).column_names,
    "JSON file": Dataset.from_json("rows.jsonl").column_names,
    "one level down": list(nested.features["row"]),
}
for title, names in seen.items():
    print(f"{title:20} {', '.join(names)}")
assert [len(names) for names in seen.values()] == [1, 1, 2, 2, 2], seen
PYTHON
