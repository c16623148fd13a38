#!/usr/bin/env bash
# trl 1.16.0 (nemotron_3_*_training.jinja) with transformers 5.23.0.
# Guess: a row whose answer has no thought continues the prompt of the same template, as it does on
#   trl's templates of Qwen3.5, which write an empty thought: training templates exist for that.
# Seen: the prompt opens a thought with a line break ("<think>\n"), the row closes it at once
#   ("<think></think>"): the row that is learned is one that the prompt cannot lead to.
# Output, for each of nano, super, ultra:
#   prompt '<|im_start|>assistant\n<think>\n'
#   row    '<|im_start|>assistant\n<think></think>It is 4.<|im_end|>\n'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from importlib.metadata import files

from transformers.utils.chat_template_utils import render_jinja_template

TEXTS = {path.stem: path for path in files("trl") if path.suffix == ".jinja"}
question = {"role": "user", "content": "Add one and three."}
answer = {"role": "assistant", "content": "It is 4."}
HEADER = "<|im_start|>assistant\n"


def render(name, chat, prompt):
    text = TEXTS[name].read_text(encoding="utf-8")
    whole = render_jinja_template([chat], chat_template=text, add_generation_prompt=prompt)[0][0]
    return whole, HEADER + whole.rpartition(HEADER)[2]


for size in ("nano", "super", "ultra"):
    name = f"nemotron_3_{size}_training"
    prompt, ends = render(name, [question], True)
    row, says = render(name, [question, answer], False)
    print(f"prompt {ends!r}\nrow    {says!r}")
    assert ends == HEADER + "<think>\n"
    assert says == HEADER + "<think></think>It is 4.<|im_end|>\n"
    assert not row.startswith(prompt)
prompt, _ = render("qwen3_5_think_training", [question], True)
row, _ = render("qwen3_5_think_training", [question, answer], False)
assert row.startswith(prompt)
PYTHON
