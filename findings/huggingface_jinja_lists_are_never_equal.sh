#!/usr/bin/env bash
# @huggingface/jinja 0.5.11 (npm: the chat templates of transformers.js and node-llama-cpp) beside
#   Jinja2 3.1.6, which transformers uses.
# Guess: what it does not know is an error; what it renders is what Jinja2 renders, but for numbers,
#   of which JavaScript has one kind.
# Seen: == compares as JavaScript's does: lists and mappings are equal where they are one object, not
#   where they hold the same, and the text "1" is the number 1. "tools == []" is false of no tools at
#   all. A remainder has the sign of the left side, capitalize leaves capitals as they are, a mapping
#   is not iterable, and a mapping that is printed is JSON, where Jinja2 prints Python: the prompt is
#   another one, with no error.
# Output (template, Jinja2, @huggingface/jinja):
#   {{ tools == [] }}               True           false
#   {{ call == {'q': none} }}       True           false
#   {{ [1, 2] != [1, 2] }}          False          true
#   {{ '1' == 1 }}                  False          true
#   {{ -7 % 3 }}                    2              -1
#   {{ 'USER'|capitalize }}         User           USER
#   {{ call is iterable }}          True           false
#   {{ call }}                      {'q': None}    {"q": null}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jinja2==3.1.6
npm install --silent --prefix "$folder" @huggingface/jinja@0.5.11 >/dev/null
cat > "$folder/render.mjs" <<'SCRIPT'
import { Template } from "@huggingface/jinja";
import { readFileSync } from "node:fs";

const { templates, values } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(templates.map((text) => new Template(text).render(values))));
SCRIPT
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import subprocess
import sys

import jinja2

VALUES = {"tools": [], "call": {"q": None}}
ROWS = {
    "{{ tools == [] }}": ("True", "false"),
    "{{ call == {'q': none} }}": ("True", "false"),
    "{{ [1, 2] != [1, 2] }}": ("False", "true"),
    "{{ '1' == 1 }}": ("False", "true"),
    "{{ -7 % 3 }}": ("2", "-1"),
    "{{ 'USER'|capitalize }}": ("User", "USER"),
    "{{ call is iterable }}": ("True", "false"),
    "{{ call }}": ("{'q': None}", '{"q": null}'),
}
python = [jinja2.Template(text).render(VALUES) for text in ROWS]
request = json.dumps({"templates": [*ROWS], "values": VALUES})
command = ["node", f"{sys.argv[1]}/render.mjs"]
answer = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
script = json.loads(answer.stdout)
for text, *texts in zip(ROWS, python, script, strict=True):
    print(f"{text:<31} {texts[0]:<14} {texts[1]}")
    assert tuple(texts) == ROWS[text], text
PYTHON
