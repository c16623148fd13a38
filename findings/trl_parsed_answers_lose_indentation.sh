#!/usr/bin/env bash
# trl 1.16.0 (add_response_schema) with transformers 5.23.0 (parse_response).
# Guess: an answer that a template writes letter by letter is parsed back letter by letter.
# Seen: blanks and line breaks at the ends are lost, so Python code loses the indentation of its
#   first line; with qwen3_5_think and glm4moe this holds for the text arguments of calls, too.
# Output:
#   qwen2_5 content '    return 1\n' -> 'return 1'
#   qwen3_5_think argument '    return 1\n' -> 'return 1'
#   glm4moe argument '    return 1\n' -> 'return 1'
#   qwen2_5 argument '    return 1\n' -> '    return 1\n'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0 jinja2==3.1.6 datasets==5.2.0
"$folder/venv/bin/pip" install -q --no-deps trl==1.16.0 accelerate==1.10.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import json
from importlib.metadata import files

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl.chat_template_utils import add_response_schema

TEXTS = {path.stem: path for path in files("trl") if path.suffix == ".jinja"}
CODE = "    return 1\n"
words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
question = {"role": "user", "content": "Go."}
call = {"type": "function", "function": {"name": "run", "arguments": {"code": CODE}}}
text_type = {"type": "object", "properties": {"code": {"type": "string"}}}
tool = {"type": "function", "function": {"name": "run", "parameters": text_type}}


def parsed(name, **answer):
    text = TEXTS[name].read_text(encoding="utf-8")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template=text)
    add_response_schema(tokenizer)
    prompt = tokenizer.apply_chat_template([question], tokenize=False, add_generation_prompt=True)
    chat = [question, {"role": "assistant", **answer}]
    row = tokenizer.apply_chat_template(chat, tokenize=False)
    assert row.startswith(prompt)
    assert CODE in row or json.dumps(CODE) in row
    return tokenizer.parse_response(row[len(prompt) :], prefix=prompt, tools=[tool])


content = parsed("qwen2_5", content=CODE)["content"]
print(f"qwen2_5 content {CODE!r} -> {content!r}")
assert content == "return 1"
for name, wanted in {"qwen3_5_think": "return 1", "glm4moe": "return 1", "qwen2_5": CODE}.items():
    message = parsed(name, content="", tool_calls=[call])
    value = message["tool_calls"][0]["function"]["arguments"]["code"]
    print(f"{name} argument {CODE!r} -> {value!r}")
    assert value == wanted, (name, value)
PYTHON
