#!/usr/bin/env bash
# trl 1.16.0 (maybe_convert_to_chatml, with which SFTTrainer reads rows) with transformers 5.23.0.
# Guess: rows of ShareGPT become rows of ChatML: "human" becomes "user" and "gpt" "assistant".
# Seen: only the keys are renamed (conversations, from, value); the roles stay "human" and "gpt", and
#   nothing is said. trl's template of Llama 3 writes them as they are; those of Qwen, Phi-3 and
#   DeepSeek know user and assistant only, and write the row without a word of the conversation.
# Output (roles, and how many of the two texts each template writes):
#   roles        human gpt
#   llama3       2, of role human
#   qwen2_5      0
#   qwen3        0
#   phi3         0
#   deepseekv3   0
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
from trl.data_utils import maybe_convert_to_chatml

TEXTS = {path.stem: path for path in files("trl") if path.suffix == ".jinja"}
WANTED = {"llama3": 2, "qwen2_5": 0, "qwen3": 0, "phi3": 0, "deepseekv3": 0}
turns = [{"from": "human", "value": "Ping?"}, {"from": "gpt", "value": "Pong!"}]
messages = maybe_convert_to_chatml({"conversations": turns})["messages"]
roles = [message["role"] for message in messages]
print(f"roles        {' '.join(roles)}")
assert roles == ["human", "gpt"]
words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
for name, wanted in WANTED.items():
    template = TEXTS[name].read_text(encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="a", eos_token="a", chat_template=template
    )
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    written = sum(word in text for word in ("Ping?", "Pong!"))
    print(f"{name:12} {written}{', of role human' if '>human<' in text else ''}")
    assert written == wanted, (name, text)
PYTHON
