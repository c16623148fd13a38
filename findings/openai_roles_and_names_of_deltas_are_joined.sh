#!/usr/bin/env bash
# openai 3.57.0 (client.chat.completions.stream, its get_final_completion) and a server of its own.
# Guess: role, and id and name of a call, are what they are: where a server writes them in each
#   chunk, as several do with the role, the final message has them once. Only content and arguments
#   are put together.
# Seen: every text of a delta but "type" is put behind what came before: three chunks with the role
#   make "assistantassistantassistant", which is no role, so the message cannot be sent back; the
#   call is one of a function that nobody has. The client raises nothing.
# Output:
#   content    'Hi'
#   role       'assistantassistantassistant'
#   id         'call_1call_1'
#   name       'rainrain'
#   arguments  '{"a": 1}'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q openai==3.57.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from openai import OpenAI


def write_call(arguments: str) -> dict:
    """A piece of the call that repeats what the call is."""
    function = {"name": "rain", "arguments": arguments}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "tool_calls": [call]}


DELTAS = [{"role": "assistant", "content": "Hi"}, write_call('{"a"'), write_call(": 1}"), {}]


class Model(BaseHTTPRequestHandler):
    """A model that streams the same answer to everybody."""

    def do_POST(self) -> None:
        """Write the deltas as server-sent events."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for delta in DELTAS:
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "tool_calls"}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            self.wfile.write(f"data: {json.dumps(chunk | {'choices': [choice]})}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = HTTPServer(("127.0.0.1", 0), Model)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")
with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "?"}]) as stream:
    message = stream.get_final_completion().choices[0].message
call = message.tool_calls[0]
seen = {
    "content": message.content,
    "role": message.role,
    "id": call.id,
    "name": call.function.name,
    "arguments": call.function.arguments,
}
for name, text in seen.items():
    print(f"{name:<10} {text!r}")
assert list(seen.values()) == ["Hi", "assistant" * 3, "call_1" * 2, "rain" * 2, '{"a": 1}'], seen
PYTHON
