#!/usr/bin/env bash
# trl 1.16.0, chat_templates/deepseekv3.jinja.
# Guess: its README calls it the original template of DeepSeek-V3, which does not think, so a
#   prompt ends with <｜Assistant｜>.
# Seen: a prompt ends with <｜Assistant｜><think>\n, and an answer loses what stands before </think>:
#   it is the template of DeepSeek-R1. V3's own opens no thought, so a V3 model that is asked with
#   this file is made to think.
# Output:
#   '<｜User｜>Hi.<｜Assistant｜><think>\n'
#   '<｜User｜>Hi.<｜Assistant｜>B<｜end▁of▁sentence｜>'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jinja2==3.1.6
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0
"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import files

from jinja2 import Environment

path = next(each for each in files("trl") if each.name == "deepseekv3.jinja")
template = Environment().from_string(path.read_text(encoding="utf-8"))
question = {"role": "user", "content": "Hi."}
answer = {"role": "assistant", "content": "<think>A</think>B"}
prompt = template.render(messages=[question], add_generation_prompt=True, bos_token="")
row = template.render(messages=[question, answer], bos_token="")
print(repr(prompt), repr(row), sep="\n")
assert prompt == "<｜User｜>Hi.<｜Assistant｜><think>\n"
assert row == "<｜User｜>Hi.<｜Assistant｜>B<｜end▁of▁sentence｜>"
PYTHON
