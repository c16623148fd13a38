"""Stands in for the Hugging Face hub: makes repositories and takes commits, in memory."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.fakes import loopback


class Hub:
    """What was made and sent: repositories by name -> private, files by name -> bytes."""

    def __init__(self) -> None:
        self.url = ""
        self.made: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.branches: set[str] = set()
        self.commits: list[str] = []  # the branches that received them
        self.tokens: set[str | None] = set()
        self.status = 200


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub on a loopback port."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            hub.tokens.add(self.headers.get("authorization"))
            self.answer(_answer(hub, self.path, body))

        def do_GET(self) -> None:
            self.answer({"sha": "0" * 40, "id": "me/it", "siblings": [], "private": False})

        do_HEAD = do_GET

        def answer(self, row: dict[str, Any]) -> None:
            content = json.dumps(row).encode()
            self.send_response(hub.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with loopback.serving(Handler) as hub.url:
        yield hub


def _answer(hub: Hub, path: str, body: bytes) -> dict[str, Any]:
    if hub.status != 200:
        return {"error": "the token may not write"}
    if path.endswith("/repos/create"):
        row = json.loads(body)
        name = f"{row.get('organization') or 'me'}/{row['name']}"
        hub.made[name] = row.get("visibility") == "private" or row.get("private")
        return {"url": f"{hub.url}/{name}", "name": name}
    if "/branch/" in path:
        hub.branches.add(path.split("/branch/")[1])
        return {}
    if "/preupload/" in path:
        names = [row["path"] for row in json.loads(body)["files"]]
        files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
        return {"files": files}
    if "/commit/" in path:
        hub.commits.append(path.split("/commit/")[1])
        for line in body.splitlines():
            row = json.loads(line)
            if row["key"] == "file":
                hub.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        return {"commitUrl": f"{hub.url}/me/it/commit/1", "commitOid": "1" * 40, "success": True}
    return {"errors": [], "warnings": []}
