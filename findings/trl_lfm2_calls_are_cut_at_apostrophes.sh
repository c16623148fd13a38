#!/usr/bin/env bash
# trl 1.16.0 (add_response_schema) with transformers 5.23.0 (parse_response), templates of LFM2.5.
# Guess: a call that the template wrote is parsed back as it was, or an error is raised.
# Seen: a text with an apostrophe is cut there, without a word ("it's" becomes "it"): the template
#   lfm2_2_5 writes 'it's' unescaped, lfm2_v2 writes 'it\'s', and one response template that knows
#   no escape reads both. A text that holds a closing bracket is cut at that, too.
# Output:
#   lfm2_2_5 Rome -> Rome
#   lfm2_2_5 it's -> it
#   lfm2_2_5 f(x) = 1 -> 'f(x
#   lfm2_v2 Rome -> Rome
#   lfm2_v2 it's -> it\
#   lfm2_v2 f(x) = 1 -> 'f(x
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6 datasets==5.2.0
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0 accelerate==1.10.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from importlib.metadata import files

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl.chat_template_utils import add_response_schema

WANTED = {
    "lfm2_2_5": {"Rome": "Rome", "it's": "it", "f(x) = 1": "'f(x"},
    "lfm2_v2": {"Rome": "Rome", "it's": "it\\", "f(x) = 1": "'f(x"},
}
TEXTS = {path.stem: path for path in files("trl") if path.suffix == ".jinja"}
words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
question = {"role": "user", "content": "Go."}
for name, wanted in WANTED.items():
    text = TEXTS[name].read_text(encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="a", chat_template=text)
    add_response_schema(tokenizer)
    prompt = tokenizer.apply_chat_template([question], tokenize=False, add_generation_prompt=True)
    for value, read in wanted.items():
        call = {"type": "function", "function": {"name": "go", "arguments": {"to": value}}}
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        row = tokenizer.apply_chat_template([question, answer], tokenize=False)
        assert row.startswith(prompt)
        message = tokenizer.parse_response(row[len(prompt) :], prefix=prompt)
        parsed = message["tool_calls"][0]["function"]["arguments"]["to"]
        print(f"{name} {value} -> {parsed}")
        assert parsed == read, (name, value, parsed)
PYTHON
