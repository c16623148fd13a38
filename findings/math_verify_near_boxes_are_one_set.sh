#!/usr/bin/env bash
# math-verify 0.9.0 (parse, verify) with latex2sympy2-extended 1.11.0, antlr4 runtime 4.13.2.
# Guess: of several boxed answers the last one counts, as it does where each stands in dollar signs.
# Seen: boxes without dollar signs are one set of both where less than ten characters stand between
#   them, or less than seventy with a comma, a semicolon, "and" or "or" among them. So a model that
#   boxes a step, doubts it and then boxes the right answer is told that it was wrong, by a comma.
# Output (what is read, and whether it equals 3):
#   First \boxed{2}.\nThen \boxed{3}.               {2, 3}  False
#   It is \boxed{2}. Wait, it is \boxed{3}.         {2, 3}  False
#   It is \boxed{2}. But then it is \boxed{3}.      3       True
#   It is $\boxed{2}$. Wait, it is $\boxed{3}$.     3       True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q math-verify==0.9.0 latex2sympy2_extended==1.11.0 \
    antlr4-python3-runtime==4.13.2
"$folder/venv/bin/python" - <<'PYTHON'
from math_verify import parse, verify

ANSWERS = {
    "First \\boxed{2}.\nThen \\boxed{3}.": ("{2, 3}", False),
    "It is \\boxed{2}. Wait, it is \\boxed{3}.": ("{2, 3}", False),
    "It is \\boxed{2}. But then it is \\boxed{3}.": ("3", True),
    "It is $\\boxed{2}$. Wait, it is $\\boxed{3}$.": ("3", True),
}
gold = parse("$3$")
for answer, wanted in ANSWERS.items():
    value = parse(answer)
    seen = (str(value[0]), verify(gold, value))
    text = answer.replace("\n", "\\n")
    print(f"{text:47} {seen[0]:7} {seen[1]}")
    assert seen == wanted, (answer, seen)
PYTHON
