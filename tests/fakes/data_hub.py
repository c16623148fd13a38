"""Stands in for the Hugging Face hub: repositories of data sets, to be listed and fetched."""

import hashlib
import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import loopback

COMMIT = "5" * 40


class DataHub:
    """Sets by id -> path in the repository -> content; `fetched`: the paths that were fetched;
    `breaks`: the connection is reset in the middle of each of these requests' answers, once;
    `sent`: the bytes of files that were sent; `about`: what a search says of a set besides."""

    def __init__(self) -> None:
        self.url = ""
        self.sets: dict[str, dict[str, bytes]] = {}
        self.fetched: list[str] = []
        self.breaks: set[tuple[str, str]] = set()  # method, what its path holds
        self.sent = 0
        self.about: dict[str, dict[str, Any]] = {}

    def info(self, name: str) -> dict[str, Any]:
        """What the API says of a set."""
        siblings = [{"rfilename": path} for path in self.sets[name]]
        flags = {"private": False, "gated": False, "disabled": False}
        more = self.about.get(name, {})
        return {"id": name, "sha": COMMIT, "siblings": siblings, "tags": [], **flags, **more}

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Every file and folder, as the API lists them."""
        files = self.sets[name]
        folders = {
            "/".join(path.split("/")[:depth])
            for path in files
            for depth in range(1, path.count("/") + 1)
        }
        found = [
            {"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in folders
        ]
        found += [
            {"type": "file", "path": path, "oid": etag(content), "size": len(content)}
            for path, content in files.items()
        ]
        return sorted(found, key=lambda one: str(one["path"]))


def etag(content: bytes) -> str:
    """The identity of a file."""
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving() -> Iterator[DataHub]:
    """A hub on a loopback port."""
    hub = DataHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with loopback.serving(handler) as hub.url:
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: DataHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[1:3])
        if parts == ["api", "datasets"]:
            words = parse_qs(urlsplit(self.path).query).get("search", [""])[0]
            found = [self.hub.info(each) for each in self.hub.sets if words in each]
            self.answer(200, json.dumps(found).encode())
        elif name not in self.hub.sets:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif parts[0] == "api":
            self.api(name, parts[4:])
        else:
            self.file(name, "/".join(parts[5:]))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = self.path.strip("/").split("/")
        wanted = json.loads(body)["paths"] if b"{" in body else _form(body)
        found = [one for one in self.hub.entries("/".join(parts[2:4])) if one["path"] in wanted]
        self.answer(200, json.dumps(found).encode())

    def api(self, name: str, rest: list[str]) -> None:
        if not rest or rest[0] == "revision":
            self.answer(200, json.dumps(self.hub.info(name)).encode())
            return
        inside = "/".join(rest[2:])
        entries = [one for one in self.hub.entries(name) if _inside(one["path"], inside)]
        if "recursive=true" not in self.path.lower():
            depth = inside.count("/") + 1 if inside else 0
            entries = [one for one in entries if one["path"].count("/") == depth]
        if entries or not inside:
            self.answer(200, json.dumps(entries).encode())
        else:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def file(self, name: str, path: str) -> None:
        content = self.hub.sets[name].get(path)
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        if self.command == "GET":
            self.hub.fetched.append(path)
        named = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or "")
        first = int(wanted[1]) if wanted else 0
        last = int(wanted[2]) + 1 if wanted and wanted[2] else len(content)
        part = content[first:last]
        if wanted:
            named["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        if self.command == "GET":
            self.hub.sent += len(part)
        self.answer(206 if wanted else 200, part, named)

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        due = {each for each in self.hub.breaks if each[0] == self.command and each[1] in self.path}
        if due:
            self.hub.breaks -= due
            self.reset(content)
            return
        if self.command != "HEAD":
            self.wfile.write(content)

    def reset(self, content: bytes) -> None:
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def _inside(path: object, folder: str) -> bool:
    return not folder or str(path).startswith(folder + "/")


def _form(body: bytes) -> list[str]:
    pairs = [pair.partition("=")[::2] for pair in body.decode().split("&")]
    return [unquote(value.replace("+", " ")) for key, value in pairs if key == "paths"]
