#!/usr/bin/env bash
# json-repair 0.64.6 (loads and repair_json).
# Guess: what is broken is mended and what is whole is kept: a comma too many after the last value is
#   taken out, and the texts of the object come back as they are without that comma.
# Seen: with one thing to mend anywhere, each text of the answer loses the line ends at its end, and
#   one that begins with a fence of JSON loses the fence as far as into the escape (the n of \n
#   stays). Code that a tool call writes to a file thus ends without a line end in those answers
#   alone that needed a repair. stream_stable=True keeps the line ends, not the fence. Blanks stay.
# Output (text, what comes back, what comes back with stream_stable):
#   'print(1)\n'          'print(1)'            'print(1)\n'
#   'a\n\n'               'a'                   'a\n\n'
#   'a \n'                'a'                   'a \n'
#   'a '                  'a '                  'a '
#   '```json\n{}\n```'    'n{}\n```'            'n{}\n```'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q json-repair==0.64.6
"$folder/venv/bin/python" - <<'PYTHON'
import json

import json_repair

WANTED = {
    "print(1)\n": ("print(1)", "print(1)\n"),
    "a\n\n": ("a", "a\n\n"),
    "a \n": ("a", "a \n"),
    "a ": ("a ", "a "),
    "```json\n{}\n```": ("n{}\n```", "n{}\n```"),
}
for text, wanted in WANTED.items():
    whole = json.dumps({"text": text, "n": 1})
    assert json_repair.loads(whole)["text"] == text, text
    broken = whole.replace("1}", "1,}")
    seen = tuple(json_repair.loads(broken, stream_stable=each)["text"] for each in (False, True))
    print("{!r:20}  {!r:20}  {!r}".format(text, *seen))
    assert seen == wanted, seen
PYTHON
