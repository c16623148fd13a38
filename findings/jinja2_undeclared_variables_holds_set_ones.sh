#!/usr/bin/env bash
# jinja2 3.1.6, meta.find_undeclared_variables.
# Guess: it returns the names that whoever renders must give; one that the template sets itself and
#   then reads is not among them.
# Seen: a name that is set within a branch is among them, also where every branch sets it, and where
#   it is read only behind its set within the same branch. So a chat template's own helpers look
#   like switches that a caller can give.
# Output:
#   set, then read           -
#   set in both branches     greeting name
#   set in one, read in it   greeting name
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jinja2==3.1.6
"$folder/venv/bin/python" - <<'PYTHON'
from jinja2 import Environment, meta

CASES = {
    "set, then read": "{% set greeting = 'hello' %}{{ greeting }}",
    "set in both branches": "{% if name %}{% set greeting = 'hello' %}{% else %}"
    "{% set greeting = 'hi' %}{% endif %}{{ greeting }}",
    "set in one, read in it": "{% if name %}{% set greeting = 'hello' %}{{ greeting }}{% endif %}",
}
seen = {}
for title, text in CASES.items():
    found = sorted(meta.find_undeclared_variables(Environment().parse(text)))
    seen[title] = found
    print(f"{title:24} {' '.join(found) or '-'}")
assert [*seen.values()] == [[], ["greeting", "name"], ["greeting", "name"]], seen
PYTHON
