#!/usr/bin/env bash
# trl 1.16.0 (its *_training.jinja) with transformers 5.23.0.
# Guess: what {% generation %} marks, and so what is learned with assistant_only_loss, begins where
#   the prompt of the same template (add_generation_prompt=True) ends.
# Seen: on these templates it begins earlier, inside the prompt: the loss is taken on text that a
#   model never has to write, such as the line break after ChatML's header or an opening <think>.
#   On qwen3 and llama3 both places are the same.
# Output: one line for each template: what of the prompt is marked as the model's own.
#   gptoss        '<|start|>assistant'
#   qwen2_5       '\n'
#   qwen3_5_think '<think>\n'
#   qwen3_6       '<think>\n'
#   qwen3_8       '<think>\n'
#   qwen3         ''
#   llama3        ''
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from importlib.metadata import files

from transformers.utils.chat_template_utils import render_jinja_template

WANTED = {
    "gptoss": "<|start|>assistant",
    "qwen2_5": "\n",
    "qwen3_5_think": "<think>\n",
    "qwen3_6": "<think>\n",
    "qwen3_8": "<think>\n",
    "qwen3": "",
    "llama3": "",
}
TEXTS = {path.stem: path for path in files("trl") if path.suffix == ".jinja"}
question = {"role": "user", "content": "Add one and three."}
answer = {"role": "assistant", "content": "It is 4."}


def render(name, chat, **options):
    text = TEXTS[f"{name}_training"].read_text(encoding="utf-8")
    return render_jinja_template([chat], chat_template=text, bos_token="<s>", **options)


for name, wanted in WANTED.items():
    prompt = render(name, [question], add_generation_prompt=True)[0][0]
    rows, marks = render(name, [question, answer], return_assistant_tokens_mask=True)
    assert rows[0].startswith(prompt), name
    begin = marks[0][0][0]
    print(f"{name:13} {rows[0][begin : len(prompt)]!r}")
    assert rows[0][begin : len(prompt)] == wanted, name
PYTHON
