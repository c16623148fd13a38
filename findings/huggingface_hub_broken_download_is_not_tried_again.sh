#!/usr/bin/env bash
# huggingface_hub 2.4.0 with httpx2 2.16.2, hf_hub_download.
# Guess: a connection that is reset in the middle of a file is opened again and the download goes on
#   from where it was: http_get counts retries down and asks for a range from then on.
# Seen: it catches ConnectError, TimeoutException and RemoteProtocolError. A reset is a ReadError,
#   which is none of them: the download ends at the first one. Of the same server, a connection that
#   is closed in the middle without a reset is a RemoteProtocolError, and the download goes on.
# Output:
#   closed  requests 2, 200000 of 200000 bytes
#   reset   requests 1, ReadError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q huggingface_hub==2.4.0 httpx2==2.16.2
HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_XET=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import socket
import struct
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from huggingface_hub import hf_hub_download

CONTENT = b"x" * 200_000
state = {"reset": False, "gets": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def begin(self, first: int) -> None:
        self.send_response(206 if first else 200)
        self.send_header("ETag", '"e1"')
        self.send_header("X-Repo-Commit", "5" * 40)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()

    def do_HEAD(self) -> None:
        self.begin(0)

    def do_GET(self) -> None:
        state["gets"] += 1
        span = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        first = int(span.split("-")[0])
        self.begin(first)
        if state["gets"] > 1:
            self.wfile.write(CONTENT[first:])
            return
        self.wfile.write(CONTENT[:100_000])
        self.wfile.flush()
        self.close_connection = True
        if state["reset"]:
            now = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            self.connection.close()

    def log_message(self, *_: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
seen = []
for name, reset in (("closed", False), ("reset", True)):
    state.update(reset=reset, gets=0)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        path = hf_hub_download(
            "a/b", "f.bin", endpoint=endpoint, cache_dir=tempfile.mkdtemp(), revision="main"
        )
        result = f"{Path(path).stat().st_size} of {len(CONTENT)} bytes"
    except Exception as error:
        result = type(error).__name__
    seen.append((state["gets"], result))
    print(f"{name:7} requests {state['gets']}, {result}", flush=True)
assert seen == [(2, "200000 of 200000 bytes"), (1, "ReadError")], seen
PYTHON
