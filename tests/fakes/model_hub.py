"""Stands in for the Hugging Face hub, and for ModelScope: models, searched for and downloaded.

Large files are redirected to another path, as to a storage, which answers ranges.
"""

import hashlib
import json
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import loopback

COMMIT = "7" * 40
LARGE = 65536  # bytes: such files are kept in the storage
PIECE = 1 << 20  # bytes that are sent at a time


class ModelHub:
    """Models by id -> path -> content, and what goes wrong.

    about      what the search says of a model besides
    status     of every answer, 200 unless something is wrong; `error` is its X-Error-Code
    breaks     after how many bytes of each next answer from the storage the line breaks, in turn
    stalls     after how many bytes of each next answer from the storage nothing more comes
    sizes      of files by name, where another than the real one is told
    rotten     names of files that arrive with another last byte
    silent     whether nothing is answered at all
    ranges     the first byte of each request to the storage
    """

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.sizes: dict[str, int] = {}
        self.models: dict[str, dict[str, bytes]] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.status, self.error = 200, ""
        self.breaks: list[int] = []
        self.stalls: list[int] = []
        self.rotten: set[str] = set()
        self.silent = False
        self.pause = 0.0  # seconds after each piece
        self.ranges: list[int] = []
        self.tokens: set[str | None] = set()

    def describe(self, name: str) -> dict[str, Any]:
        """What the API says of a model."""
        files = [
            {"rfilename": path, "size": len(content), **_large(content)}
            for path, content in self.models[name].items()
        ]
        flags = {"private": False, "gated": False, "disabled": False, "tags": ["safetensors"]}
        return {"id": name, "sha": COMMIT, "siblings": files, **flags, **self.about.get(name, {})}


@contextmanager
def serving() -> Iterator[ModelHub]:
    """A hub on a loopback port."""
    hub = ModelHub()
    with loopback.serving(type("Handler", (_Handler,), {"hub": hub})) as hub.url:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: ModelHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, address = self.hub, urlsplit(self.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        hub.tokens.add(self.headers.get("authorization"))
        while hub.silent:
            time.sleep(0.05)
        if hub.status != 200:
            self.answer(hub.status, b"{}", {"X-Error-Code": hub.error} if hub.error else {})
        elif parts[0] == "storage":
            self.store(hub.models["/".join(parts[1:3])], "/".join(parts[3:]))
        elif parts[:2] in (["openapi", "v1"], ["api", "v1"]):
            self.modelscope(parts, parse_qs(address.query))
        elif parts[:2] == ["api", "models"] and len(parts) == 2:
            words = parse_qs(address.query).get("search", [""])[0]
            names = [name for name in hub.models if words.lower() in name.lower()]
            self.answer(200, json.dumps([hub.describe(name) for name in names]).encode())
        else:
            self.about("/".join(parts[2:4] if parts[0] == "api" else parts[:2]), parts)

    do_HEAD = do_GET

    def about(self, name: str, parts: list[str]) -> None:
        files = self.hub.models.get(name)
        if files is None:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif parts[0] == "api" and parts[4:5] == ["tree"]:
            rows = [
                {"type": "file", "path": path, "oid": _sha1(content), "size": len(content)}
                | _large(content)
                for path, content in files.items()
            ]
            self.answer(200, json.dumps(rows).encode())
        elif parts[0] == "api":
            self.answer(200, json.dumps(self.hub.describe(name)).encode())
        else:
            self.resolve(name, "/".join(parts[4:]), files)

    def modelscope(self, parts: list[str], query: dict[str, list[str]]) -> None:
        """As ModelScope answers: a search, the files of a model, one of them from the storage."""
        name, files = "/".join(parts[3:5]), self.hub.models.get("/".join(parts[3:5]))
        if parts[0] == "openapi":
            names = [each for each in self.hub.models if query["search"][0] in each]
            about = {"license": "mit", "file_size": 7, "downloads": 5, "gated": False}
            rows = [{"id": each, **about} for each in names]
            self.answer(200, json.dumps({"data": {parts[2]: rows}}).encode())
        elif files is None:
            self.answer(404, b"{}")
        elif parts[5:] == ["repo", "files"]:
            rows = [
                {"Path": path, "Size": self.hub.sizes.get(path, len(content)), "Type": "blob"}
                | {"Sha256": hashlib.sha256(content).hexdigest()}
                for path, content in files.items()
            ]
            self.answer(200, json.dumps({"Data": {"Files": rows}}).encode())
        else:
            storage = self.hub.url.replace("127.0.0.1", "localhost")
            place = f"{storage}/storage/{name}/{query['FilePath'][0]}"
            self.answer(302, b"", {"Location": place})

    def resolve(self, name: str, path: str, files: dict[str, bytes]) -> None:
        content, headers = files.get(path), {"X-Repo-Commit": COMMIT}
        if content is None:
            self.answer(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        elif _large(content):
            digest = hashlib.sha256(content).hexdigest()
            size = self.hub.sizes.get(path, len(content))
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(size)}
            storage = self.hub.url.replace("127.0.0.1", "localhost")  # another host than the hub
            place = {"Location": f"{storage}/storage/{name}/{path}"}
            self.answer(302, b"", {**headers, **linked, **place})
        else:
            self.answer(200, content, {**headers, "ETag": f'"{_sha1(content)}"'})

    def store(self, files: dict[str, bytes], path: str) -> None:
        content = files[path]
        if path in self.hub.rotten:
            content = content[:-1] + bytes([content[-1] ^ 1])
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        start = int(wanted[1]) if wanted else 0
        if self.command == "GET":
            self.hub.ranges.append(start)
        headers = {"Accept-Ranges": "bytes", "ETag": '"stored"'}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.answer(206 if wanted else 200, content[start:], headers, breaks=True)

    def answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        *,
        breaks: bool = False,
    ) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        ends = self.hub.stalls or self.hub.breaks
        stalls = breaks and ends is self.hub.stalls
        end = ends.pop(0) if breaks and ends else len(content)
        for at in range(0, min(end, len(content)), PIECE):
            self.wfile.write(content[at : min(at + PIECE, end)])
            time.sleep(self.hub.pause)
        while stalls and self.is_open():
            time.sleep(0.05)
        if end < len(content):
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def is_open(self) -> bool:
        """Whether the other side still waits."""
        waiting, _, _ = select.select([self.connection], [], [], 0)
        return not waiting or bool(self.connection.recv(1, socket.MSG_PEEK))

    def log_message(self, *_: Any) -> None:
        pass


@lru_cache(64)
def _sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@lru_cache(64)
def _large(content: bytes) -> dict[str, Any]:
    """What is said of a file that is kept in the storage; {} of a small one."""
    if len(content) < LARGE:
        return {}
    digest = hashlib.sha256(content).hexdigest()
    return {"lfs": {"oid": digest, "sha256": digest, "size": len(content), "pointerSize": 134}}
