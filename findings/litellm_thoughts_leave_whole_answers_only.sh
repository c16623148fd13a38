#!/usr/bin/env bash
# litellm 1.110.2 (completion with "openai/NAME" and api_base, a server that speaks OpenAI's protocol).
# Guess: the answer is what the server sent, whether it came whole or in parts; stops are handed on;
#   a server that counts no tokens has no counts.
# Seen: <think>...</think> at the beginning of a whole answer is taken out of the content and put into
#   reasoning_content; of a streamed one it stays. Of a list of stops the first four are sent, without a
#   word. Where the server counts no tokens the counts are 0, or, streamed with include_usage, made up
#   with a tokenizer of OpenAI's. An equal part 100 times in a row (a model that loops, or counts rows of
#   a table) ends a stream with an error, though the server goes on; whole it is let pass.
# Output:
#   whole     content '\n\nDone', reasoning 'plan', tokens 0
#   streamed  content '<think>plan</think>\n\nDone', reasoning '', tokens 8
#   stops     6 given, 4 sent
#   loop      whole 150 parts, streamed MidStreamFallbackError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litellm==1.110.2
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm

THOUGHT = ["<think>", "plan", "</think>", "\n\n", "Done"]
received = {}


class Server(BaseHTTPRequestHandler):
    """Answers with the parts that the request asks for, whole or streamed, and counts no tokens."""

    def do_POST(self) -> None:
        received.clear()
        received.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        parts = json.loads(received["messages"][0]["content"])
        streamed = received.get("stream", False)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        self.end_headers()
        if streamed:
            choices = [{"delta": {"content": part}, "finish_reason": None} for part in parts]
            for choice in [*choices, {"delta": {}, "finish_reason": "stop"}]:
                self.wfile.write(b"data: " + self.pack("chat.completion.chunk", choice) + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")
        else:
            message = {"role": "assistant", "content": "".join(parts)}
            self.wfile.write(self.pack("chat.completion", {"message": message, "finish_reason": "stop"}))

    def pack(self, kind: str, choice: dict) -> bytes:
        head = {"id": "1", "object": kind, "created": 1, "model": "m"}
        return json.dumps({**head, "choices": [{"index": 0, **choice}]}).encode()

    def log_message(self, *_: object) -> None:
        pass


def ask(parts: list[str], **options: object) -> object:
    messages = [{"role": "user", "content": json.dumps(parts)}]
    address = f"http://127.0.0.1:{server.server_port}/v1"
    return litellm.completion("openai/m", messages, api_base=address, api_key="none", **options)


def join_stream(parts: list[str]) -> tuple[str, str, int]:
    """The content, the reasoning and the count of tokens of a streamed answer."""
    chunks = list(ask(parts, stream=True, stream_options={"include_usage": True}))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    content = "".join(delta.content or "" for delta in deltas)
    reasoning = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    counts = [chunk.usage.completion_tokens for chunk in chunks if getattr(chunk, "usage", None)]
    return content, reasoning, counts[-1]


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
response = ask(THOUGHT)
message = response.choices[0].message
whole = (message.content, message.reasoning_content, response.usage.completion_tokens)
streamed = join_stream(THOUGHT)
for name, answer in (("whole", whole), ("streamed", streamed)):
    print(f"{name:<9} content {answer[0]!r}, reasoning {answer[1]!r}, tokens {answer[2]}")
assert whole == ("\n\nDone", "plan", 0), whole
assert streamed[:2] == ("<think>plan</think>\n\nDone", "") and streamed[2] > 0, streamed

ask(["x"], stop=[*"abcdef"])
print(f"stops     6 given, {len(received['stop'])} sent")
assert received["stop"] == [*"abcd"], received

row = "| 0 | 0 |\n"
parts = ask([row] * 150).choices[0].message.content.count(row)
try:
    join_stream([row] * 150)
    error = None
except litellm.exceptions.MidStreamFallbackError as problem:
    error = type(problem).__name__
print(f"loop      whole {parts} parts, streamed {error}")
assert parts == 150 and error is not None
PYTHON
