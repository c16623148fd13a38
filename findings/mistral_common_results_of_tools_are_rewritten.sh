#!/usr/bin/env bash
# mistral-common 1.13.1 (MistralTokenizer, encode_chat_completion).
# Guess: what a tool answered reaches the model letter by letter, in every version of the format.
# Seen: up to version 3 it is parsed as JSON where it can be, and written anew: the version "3.10"
#   of a package becomes 3.1, 1e3 becomes 1000.0, and a long number loses its last digits. Arguments
#   of calls are written anew as well. Version 7 leaves results as they are.
# Output (what the tool answered, and what the model reads):
#   3.10                       3.1
#   1e3                        1000.0
#   12345678901234567890.5     1.2345678901234567e+19
#   {"price": 1.50}            {"price": 1.5}
#   "sunny"                    "sunny"
#   sunny                      "sunny"
#   argument 3.10              3.1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mistral-common==1.13.1
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from importlib.resources import files

from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

CASES = {
    "3.10": "3.1",
    "1e3": "1000.0",
    "12345678901234567890.5": "1.2345678901234567e+19",
    '{"price": 1.50}': '{"price": 1.5}',
    '"sunny"': '"sunny"',
    "sunny": '"sunny"',
}
file = files("mistral_common") / "data" / "tekken_240911.json"  # version 3
tokenizer = MistralTokenizer.from_file(str(file))
function = {"name": "go", "arguments": '{"to": 3.10}'}
tool = {"name": "go", "description": "", "parameters": {"type": "object", "properties": {}}}


def written(answer):
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "tool_calls": [{"id": "abcdefghi", "function": function}]},
        {"role": "tool", "content": answer, "tool_call_id": "abcdefghi"},
    ]
    request = ChatCompletionRequest.from_openai(
        messages=messages, model="any", tools=[{"type": "function", "function": tool}]
    )
    return tokenizer.encode_chat_completion(request).text


for answer, wanted in CASES.items():
    text = written(answer)
    read = text.partition('{"content": ')[2].partition(', "call_id"')[0]
    print(f"{answer:26} {read}")
    assert read == wanted, (answer, read)
argument = text.partition('{"to": ')[2].partition("}")[0]
print(f"argument 3.10              {argument}")
assert argument == "3.1"
PYTHON
