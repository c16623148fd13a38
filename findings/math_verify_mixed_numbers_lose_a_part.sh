#!/usr/bin/env bash
# math-verify 0.9.0 (parse, verify) with latex2sympy2-extended 1.11.0, antlr4 runtime 4.13.2.
# Guess: "12 1/2" is twelve and a half, or nothing is found in it.
# Seen: without LaTeX it is the numerator of its fraction, and as LaTeX ($12 1/2$, \boxed{12 1/2})
#   its whole number is added to the numerator: (12+1)/2; only \frac is read as meant. So a right
#   answer gets no reward, and a wrong one does: "12 1/2" passes for 1, and $12 1/2$ for 6.5.
# Output:
#   12 1/2                   1
#   The sum is 7 3/4.        3
#   $12 1/2$                 13/2
#   \boxed{7 3/4}            5/2
#   $12\frac{1}{2}$          25/2
#   12.5 and 12 1/2: False, 1 and 12 1/2: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q math-verify==0.9.0 latex2sympy2_extended==1.11.0 \
    antlr4-python3-runtime==4.13.2
"$folder/venv/bin/python" - <<'PYTHON'
from math_verify import parse, verify

ANSWERS = {
    "12 1/2": "1",
    "The sum is 7 3/4.": "3",
    "$12 1/2$": "13/2",
    "\\boxed{7 3/4}": "5/2",
    "$12\\frac{1}{2}$": "25/2",
}
for answer, wanted in ANSWERS.items():
    value = str(parse(answer)[0])
    print(f"{answer:24} {value}")
    assert value == wanted, (answer, value)
right, wrong = (verify(parse(gold), parse("12 1/2")) for gold in ("12.5", "1"))
print(f"12.5 and 12 1/2: {right}, 1 and 12 1/2: {wrong}")
assert (right, wrong) == (False, True)
PYTHON
