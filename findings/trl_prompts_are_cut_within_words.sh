#!/usr/bin/env bash
# trl 1.16.0 (extract_prompt, with which its preference trainers find the prompt of plain texts).
# Guess: where a row has chosen and rejected texts but no prompt, the prompt is what both begin with,
#   up to the end of a word or token, as in the example of the documentation.
# Seen: it is cut at the first letter that differs, unless a blank stands just before it. Answers
#   that begin alike are learned from their middle ("ue" after "bl"), in tokens that the model would
#   never write there. Where one text is the beginning of the other, its last letter is learned.
# Output (prompt | chosen | rejected):
#   The sky is| blue| green
#   The sky is bl|ue|ack
#   Is 17 prime? Ye|s|s, it is
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6 datasets==5.2.0
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0 accelerate==1.10.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from trl.data_utils import extract_prompt

ROWS = {
    ("The sky is blue", "The sky is green"): ("The sky is", " blue", " green"),
    ("The sky is blue", "The sky is black"): ("The sky is bl", "ue", "ack"),
    ("Is 17 prime? Yes", "Is 17 prime? Yes, it is"): ("Is 17 prime? Ye", "s", "s, it is"),
}
for (chosen, rejected), wanted in ROWS.items():
    row = extract_prompt({"chosen": chosen, "rejected": rejected})
    parts = (row["prompt"], row["chosen"], row["rejected"])
    print("|".join(parts))
    assert parts == wanted, parts
PYTHON
