#!/usr/bin/env bash
# nltk 3.10.4 (sentence_bleu with SmoothingFunction), Chinese texts by characters.
# Guess: a text compared with itself has a BLEU of 1, and no text has more; smoothing is only for
#   counts that are 0.
# Seen: with methods 5 and 7 the value passes 1 where a text is long enough: they average each order
#   with its neighbours, and the order before the first counts as 2. Of a text with less than four
#   characters the orders that it cannot have count as misses: method 3, which LLaMA-Factory and many
#   others score answers with, gives the right answer of two characters 0.59, and method 4 gives two
#   characters less than one.
# Output (method: 1, 2, 3, 4 and 6 characters, each with itself):
#   1: 0.18 0.32 0.56 1.00 1.00
#   2: 0.59 0.71 0.84 1.00 1.00
#   3: 0.35 0.59 0.84 1.00 1.00
#   4: 1.00 0.22 0.58 1.00 1.00
#   5: 0.19 0.39 0.70 1.01 1.12
#   7: 0.19 0.44 0.75 1.01 1.12
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q nltk==3.10.4
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

table = {}
for method in (1, 2, 3, 4, 5, 7):
    smooth = getattr(SmoothingFunction(), f"method{method}")
    table[method] = [
        f"{sentence_bleu([list(text)], list(text), smoothing_function=smooth):.2f}"
        for text in ("好", "今天", "今天好", "今天天气", "今天天气很好")
    ]
    print(f"{method}:", *table[method])
assert table[3] == ["0.35", "0.59", "0.84", "1.00", "1.00"], table
assert table[4] == ["1.00", "0.22", "0.58", "1.00", "1.00"], table
assert table[5][-1] == table[7][-1] == "1.12", table
PYTHON
