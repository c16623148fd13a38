#!/usr/bin/env bash
# huggingface_hub 2.4.0, hf_hub_download and snapshot_download over HTTP (HF_HUB_DISABLE_XET=1).
# Guess: a download that was stopped goes on where it was, as the .incomplete file in the cache is for.
# Seen: every call writes to a temporary file of a name of its own, which it removes when it fails;
#   what a killed process has left is never looked at. Only a line that breaks within one call is
#   mended by a request for the rest. http_get itself, given an open file, goes on.
# Output:
#   first call, stopped after 10 of 24 MB: asked for bytes from 0
#   second call: asked for bytes from 0
#   http_get with the first 10 MB at hand: asked for bytes from 10485760
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q huggingface_hub==2.4.0
cat > "$folder/hub.py" <<'PYTHON'
import hashlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = bytes(range(256)) * (24 * 4096)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CHUNK = 10 * 1024 * 1024
asked, is_slow = [], True


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
        start = int(wanted[1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", "7" * 40)
        self.send_header("X-Linked-Etag", f'"{DIGEST}"')
        self.send_header("X-Linked-Size", str(len(CONTENT)))
        self.send_header("ETag", f'"{DIGEST}"')
        self.send_header("Content-Length", str(len(CONTENT) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        asked.append(start)
        self.wfile.write(CONTENT[start : CHUNK + 1])
        self.wfile.flush()
        while is_slow:
            time.sleep(0.05)
        self.wfile.write(CONTENT[max(start, CHUNK + 1) :])

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
home = Path(sys.argv[1])
env = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "PATH": "/usr/bin:/bin"}
CALL = "from huggingface_hub import hf_hub_download; hf_hub_download('owner/model', 'model.safetensors')"
words = [sys.executable, "-c", CALL]
child = subprocess.Popen(words, env=env, stderr=subprocess.DEVNULL)
parts = home / "hub" / "models--owner--model" / "blobs"
limit = time.monotonic() + 120
while not any(each.stat().st_size >= CHUNK for each in parts.glob("*.incomplete")):
    assert time.monotonic() < limit and child.poll() is None
    time.sleep(0.05)
child.kill()
child.wait()
first = list(asked)
is_slow = False
asked.clear()
subprocess.run(words, env=env, check=True, stderr=subprocess.DEVNULL)
second = list(asked)
asked.clear()

from huggingface_hub.file_download import http_get

with tempfile.TemporaryFile(dir=home) as file:
    file.write(CONTENT[:CHUNK])
    http_get(f"{address}/file", file, resume_size=CHUNK, expected_size=len(CONTENT))
    file.seek(0)
    assert file.read() == CONTENT
lines = [
    f"first call, stopped after 10 of 24 MB: asked for bytes from {first[0]}",
    f"second call: asked for bytes from {second[0]}",
    f"http_get with the first 10 MB at hand: asked for bytes from {asked[0]}",
]
print("\n".join(lines))
assert (set(first), set(second), set(asked)) == ({0}, {0}, {CHUNK}), (first, second, asked)
PYTHON
"$folder/venv/bin/python" "$folder/hub.py" "$folder"
