#!/usr/bin/env bash
# llguidance 1.9.1 (one of the engines for JSON schemas in vLLM, SGLang and llama.cpp).
# Guess: a bound narrows which numbers may be written, not how: {"type": "number"} takes 5e-5, and so
#   does the same schema with "minimum": 0, as 5e-5 is valid under both.
# Seen: with a minimum, a maximum or both no number may have an exponent, without a word. A model
#   that is asked for a learning rate and means 5e-5 is stopped after the 5, may then only go on
#   with digits, a point or the end, and answers 5 or writes 0.00005. Both are bounded: 1e5, too.
# Output (number: without bounds, with "minimum": 0, with "maximum": 100):
#   5e-5     True   False  False
#   1e1      True   False  False
#   0.00005  True   True   True
#   5        True   True   True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q llguidance==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
from llguidance import LLMatcher, LLTokenizer

TOKENIZER = LLTokenizer("byte")
BOUNDS = ({}, {"minimum": 0}, {"maximum": 100})


def accepts(bound, number):
    grammar = LLMatcher.grammar_from_json_schema({"type": "number", **bound})
    matcher = LLMatcher(TOKENIZER, grammar)
    assert not matcher.get_error(), matcher.get_error()
    tokens = TOKENIZER.tokenize_str(number)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


for number in ("5e-5", "1e1", "0.00005", "5"):
    seen = [accepts(bound, number) for bound in BOUNDS]
    print("{:8} {!s:6} {!s:6} {}".format(number, *seen))
    assert seen == [True] + 2 * ["e" not in number], (number, seen)
PYTHON
