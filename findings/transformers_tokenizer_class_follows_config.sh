#!/usr/bin/env bash
# transformers 5.23.0, AutoTokenizer.from_pretrained of a folder.
# Guess: the files of a tokenizer say what it is, so the same tokenizer.json and
#   tokenizer_config.json give the same vocabulary wherever they lie.
# Seen: with a config.json of model_type qwen2 beside them the class is Qwen2Tokenizer, which adds
#   <|endoftext|>; without one it is the class that the files name, and the token is missing. An
#   adapter's folder has no config.json: read by itself, its tokenizer is not that of its base.
# Output:
#   with config.json     Qwen2Tokenizer 258 <|endoftext|>
#   without config.json  TokenizersBackend 257
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0
"$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

folder = Path(sys.argv[1]) / "model"
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
raw = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
raw.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>").save_pretrained(folder)
seen = {}
for name in ("with config.json", "without config.json"):
    config = folder / "config.json"
    config.write_text(json.dumps({"model_type": "qwen2"}))
    if name.startswith("without"):
        config.unlink()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    own = [token for token in ("<|endoftext|>",) if token in tokenizer.get_vocab()]
    seen[name] = (type(tokenizer).__name__, len(tokenizer), *own)
    print(f"{name:<20}", *seen[name])
assert seen["with config.json"] == ("Qwen2Tokenizer", 258, "<|endoftext|>")
assert seen["without config.json"] == ("TokenizersBackend", 257)
PYTHON
