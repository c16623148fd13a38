#!/usr/bin/env bash
# transformers 5.23.0, apply_chat_template of a tokenizer.
# Guess: a template sees a message as it was given, so {"content": None} of a call can be asked for
#   with "content is none", as many templates do.
# Seen: fields that are None are taken out of each message first: content is not None but undefined.
#   The function that renders below it, render_jinja_template, leaves them in.
# Output:
#   apply_chat_template    role
#   render_jinja_template  role,content,reasoning_content
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

TEMPLATE = "{{ messages[0] | join(',') }}"
chat = [{"role": "assistant", "content": None, "reasoning_content": None}]
words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template=TEMPLATE)
applied = tokenizer.apply_chat_template(chat, tokenize=False)
rendered = render_jinja_template([chat], chat_template=TEMPLATE)[0][0]
print(f"apply_chat_template    {applied}\nrender_jinja_template  {rendered}")
assert applied == "role"
assert rendered == "role,content,reasoning_content"
PYTHON
