"""S-01, S-03, S-16: what a request asks of the page is opened only within the boundary, and
answered without a traceback. Plain HTTP to the real server, as no browser would send."""

import http.client
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from backend.contract.system import boundary
from tests.failures.conftest import process, running, serving

CANARY = "canary of another person"
LINE = json.dumps({"instruction": "Say hello.", "input": "", "output": CANARY}) + "\n"
JSON = {"Content-Type": "application/json"}
BOUNDARY = "b0undary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
EVENT = "/gradio_api/queue/join"
ANSWERS = "/gradio_api/queue/data?session_hash="
QUESTION = "/gradio_api/component_server"
UPLOAD = "/gradio_api/upload"
NO_OBJECTS = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 5000, b"{}" * 2]
STRANGE: list[Any] = [None, True, -1, 10**6, 1.5, "0", "x" * 10_000, [], {}]  # numbers of nothing


def part(content: str, name: str = "files") -> bytes:
    """A form with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="a.jsonl"'
    return f"{head}\r\n\r\n{content}\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Page:
    """A running page and what it has said."""

    home: Path
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Any = JSON
    ) -> tuple[int, str]:
        """Status and body of the answer."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        line.request(method, path, body, headers)
        answer = line.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")

    def upload(self, content: str) -> str:
        """The path under which the page keeps an uploaded file."""
        status, answer = self.ask("POST", UPLOAD, part(content), FORM)
        assert status == 200, answer
        path: str = json.loads(answer)[0]
        return path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The components and events of the page."""
        status, answer = self.ask("GET", "/config", headers={})
        assert status == 200
        config: dict[str, Any] = json.loads(answer)
        return config

    @property
    def components(self) -> dict[int, dict[str, Any]]:
        """The properties of each component by its number."""
        return {row["id"]: row["props"] for row in self.config["components"]}

    def number(self, element: str) -> int:
        """The number of a component by the element's id."""
        return next(key for key, row in self.components.items() if row.get("elem_id") == element)

    def event(self, trigger: str, element: str, given: dict[str, Any]) -> dict[str, Any]:
        """The request of an event: `given` are values by the element's id, others as they are."""
        target = self.number(element)
        events = (row for row in self.config["dependencies"] if row["backend_fn"])
        event = next(row for row in events if [target, trigger] in row["targets"])
        rows = [self.components[key] for key in event["inputs"]]
        data = [given.get(str(row.get("elem_id")), row.get("value")) for row in rows]
        return {"fn_index": event["id"], "data": data, "session_hash": secrets.token_hex(8)}

    def send(self, event: dict[str, Any]) -> tuple[int, str]:
        """What the page answers to an event, of which the browser hears over a stream."""
        status, answer = self.ask("POST", EVENT, json.dumps(event).encode())
        if status == 200:
            status, answer = self.ask("GET", ANSWERS + event["session_hash"], headers={})
            assert '"msg":"close_stream"' in answer
        return status, answer

    def question(self, function: str, **data: Any) -> dict[str, Any]:
        """What the form of Train asks of a function of its own."""
        return {
            "component_id": self.number("train-form"),
            "fn_name": function,
            "session_hash": secrets.token_hex(8),
            "data": {"lang": "en", **data},
        }

    def judge(self, values: dict[str, Any]) -> tuple[int, str]:
        """What the page answers to the form of Train when its fields hold these values."""
        return self.answer(self.question("judge", values=values))

    def answer(self, question: dict[str, Any]) -> tuple[int, str]:
        """What the page answers to a question."""
        return self.ask("POST", QUESTION, json.dumps(question).encode())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page; when it ends, its log holds no traceback."""
    home = tmp_path_factory.mktemp("home")
    log = home / "web.log"
    with (
        log.open("wb") as errors,
        serving(home, ["-m", "backend", "webui"], errors) as (_, port),
    ):
        yield Page(home, port, log)
    assert "Traceback" not in log.read_text()


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another person's file, outside the working folder."""
    path = tmp_path_factory.mktemp("others") / "private.jsonl"
    path.write_text(LINE)
    return path


def test_on_the_machine_that_runs_tuneboard(page: Page, private: Path) -> None:
    """This box showed the first row of any readable file."""
    inside = page.home / "mine.jsonl"
    inside.write_text(LINE)
    status, answer = page.send(page.event("click", "bring-look", {"bring-path": "mine.jsonl"}))
    assert (status, CANARY in answer) == (200, True)  # the twin: this is how a row is shown
    link = page.home / "data" / "link.jsonl"
    link.symlink_to(private)
    folder = page.home / "data" / "folder"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(private)
    up = os.path.relpath(private, page.home)
    for given in (str(private), up, "data/link.jsonl", "data/folder", str(private.parent)):
        status, answer = page.send(page.event("click", "bring-look", {"bring-path": given}))
        assert status == 200
        assert "--allowed-path" in answer
        assert CANARY not in answer


def test_a_registry_that_leads_out(page: Page, private: Path) -> None:
    registry = page.home / "data" / "dataset_info.json"
    rows = json.loads(registry.read_text())
    up = os.path.relpath(private, registry.parent)
    names = {"up": up, "absolute": str(private)}
    rows |= {name: {"file_name": given} for name, given in names.items()}
    registry.write_text(json.dumps(rows))
    try:
        for name in ("identity", *names):
            form = {"dataset": [name]}
            typed = {"train-form": form, "preview-look": {"view": "raw"}}
            look = page.event("look", "preview-look", typed)
            for status, answer in (page.judge(form), page.send(look)):
                assert status == 200
                assert CANARY not in answer
                assert ("--allowed-path" in answer) == (name in names)
    finally:
        registry.write_text(json.dumps({name: rows[name] for name in rows if name not in names}))


def test_the_names_in_a_registry_outside(page: Page, private: Path) -> None:
    """The list of data sets is read from whatever folder a form names."""
    registry = json.dumps({CANARY: {"file_name": private.name}})
    inside = page.home / "mine"
    for folder in (inside, private.parent):
        folder.mkdir(exist_ok=True)
        (folder / "dataset_info.json").write_text(registry)
    link = page.home / "link"
    link.symlink_to(private.parent)
    up = os.path.relpath(private.parent, page.home)
    for asked in ("mine", "link", up, str(private.parent)):
        form = {"dataset_dir": asked}
        status, answer = page.answer(page.question("offers", kind="dataset", values=form))
        assert (status, CANARY in answer) == (200, asked == "mine"), asked
        status, answer = page.judge(form | {"dataset": ["x"]})
        assert status == 200
        assert ("--allowed-path" in answer) == (asked != "mine")


def test_an_upload_that_never_came(page: Page, private: Path) -> None:
    """A path in the event of an upload: of another file of the machine, a link, an address."""
    upload = page.upload(LINE)
    file = {"path": upload, "orig_name": "a.jsonl", "meta": {"_type": "gradio.FileData"}}
    status, answer = page.send(page.event("upload", "bring-file", {"bring-file": file}))
    assert (status, CANARY in answer) == (200, True)
    mine = page.home / "data" / "own.jsonl"
    mine.write_text(LINE)
    folder = Path(upload).parents[1]
    forged = [
        str(private),
        str(mine),
        str(folder / ".." / ".." / ".." / "data" / "own.jsonl"),
        "data/own.jsonl",
        f"file://{private}",
        f"http://127.0.0.1:{page.port}/healthz",
        "",
        "a" * 5000,
    ]
    for path in forged:
        for meta in ({"meta": {"_type": "gradio.FileData"}}, {}):
            given = {"path": path, "orig_name": "a.jsonl", **meta}
            for value in (given, [given], {"value": given}):
                event = page.event("upload", "bring-file", {"bring-file": value})
                status, answer = page.send(event)
                assert 400 <= status < 500, path
                assert CANARY not in answer
    for path in (str(private), str(mine)):
        status, answer = page.ask("GET", f"/gradio_api/file={path}", headers={})
        assert 400 <= status < 500
        assert CANARY not in answer


def test_a_run_is_not_started_outside(page: Page, private: Path) -> None:
    """The command of a form that names a place outside says why there is none; nothing is made."""
    outside = private.parent / "new"
    (private.parent / "model").mkdir()
    (private.parent / "model" / "config.json").write_text(f'{{"{CANARY}": 1}}')
    for bar, form in (
        ({"model_name_or_path": str(private.parent / "model")}, {"dataset": ["identity"]}),
        ({}, {"extra_args": f"output_dir={outside}"}),
        ({}, {"extra_args": f"deepspeed={private}"}),
    ):
        start = page.event("start", "train-launch", {"bar-form": bar, "train-form": form})
        for status, answer in (page.judge({**bar, **form}), page.send(start)):
            assert status == 200
            assert "--allowed-path" in answer
            assert CANARY not in answer
    assert not outside.exists()


def test_what_makes_no_sense_is_answered_4xx(page: Page) -> None:
    """Where Gradio alone answers 500 and writes a traceback: events that are none, forms without
    an end, bodies that are no JSON, sessions that nobody has."""
    good = page.event("click", "bring-look", {"bring-path": "x"})
    events = page.config["dependencies"]
    own = next(row["id"] for row in events if not row["backend_fn"])  # the browser's
    asked = [("POST", EVENT, {**good, "fn_index": index}) for index in (*STRANGE, own)]
    asked += [("POST", EVENT, {**good, "data": data}) for data in (None, [], "x", {}, [1] * 999)]
    asked += [("POST", EVENT, {**good, "session_hash": name}) for name in (None, 1, [], {})]
    asked += [("POST", path, {}) for path in (EVENT, "/gradio_api/run/predict")]
    requests = [(method, path, json.dumps(row).encode(), JSON) for method, path, row in asked]
    requests += [
        ("POST", path, body, JSON)
        for path in (EVENT, "/gradio_api/cancel", "/gradio_api/reset")
        for body in NO_OBJECTS
    ]
    requests += [("POST", EVENT, b"{}", {"Content-Type": kind}) for kind in ("", "text/plain")]
    kinds = ("", "=", '="', f"={BOUNDARY[:4]}", "=" + "-" * 100, "=\xe9", "=a b", f"*={BOUNDARY}")
    requests += [
        ("POST", UPLOAD, body, {"Content-Type": f"multipart/form-data; boundary{kind}"})
        for kind in kinds
        for body in (part("x"), b"", b"--")
    ]
    requests += [("POST", UPLOAD, body, FORM) for body in (part("x", "other"), part("x")[:-20])]
    requests += [("POST", UPLOAD, b"{}", kind) for kind in (JSON, {})]
    closed = (f"{ANSWERS}nobody", "/gradio_api/queue/data", "/nothing")
    closed += ("/gradio_api/stream/a/b/c/playlist.m3u8", "/gradio_api/proxy=http://127.0.0.1/")
    requests += [("GET", path, b"", {}) for path in closed]
    requests += [(method, "/", b"", {}) for method in ("PUT", "DELETE", "PATCH", "POST")]
    for method, path, body, headers in requests:
        refuse(page, method, path, body, headers)
    assert len(requests) == 84
    assert "Traceback" not in page.log.read_text()
    assert page.ask("GET", "/healthz")[0] == 200


def refuse(page: Page, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
    """See that the page answers 4xx in a few words."""
    status, answer = page.ask(method, path, body, headers)
    nothing = path == UPLOAD and (status, answer) == (200, "[]")  # a form without a file
    assert nothing or 400 <= status < 500, (method, path, body[:80], headers, status)
    assert "Traceback" not in answer
    assert len(answer) < 500


def test_a_question_that_makes_no_sense_is_answered_4xx(page: Page) -> None:
    """A form asks its own functions over a route by which Gradio calls any of any component, and
    answers 500 where there is none."""
    good = page.question("judge", values={})
    assert page.judge({})[0] == 200
    button = page.number("bring-look")  # it has no function to ask
    names = (None, 1, "", "start", "postprocess", "__class__", ["judge"], "x" * 10_000)
    asked = [{**good, "component_id": index} for index in (*STRANGE, button)]
    asked += [{**good, "fn_name": name} for name in names]
    asked += [{**good, "data": data} for data in (None, [], "x", 1)]
    asked += [{**good, "session_hash": name} for name in (None, 1, [])]
    bodies = [*NO_OBJECTS, b"{}", *(json.dumps(row).encode() for row in asked)]
    for body in bodies:
        refuse(page, "POST", QUESTION, body, JSON)
    refuse(page, "POST", QUESTION, json.dumps(good).encode(), {"Content-Type": "text/plain"})
    refuse(page, "GET", QUESTION, b"", {})
    assert len(bodies) == 34
    assert "Traceback" not in page.log.read_text()


def test_what_the_page_starts_is_bounded_and_a_terminal_is_not(
    home: Path, private: Path, begin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run, and a check of every row, in the environment of the page; then the same check in that
    of a terminal."""
    monkeypatch.setenv(boundary.VARIABLE, "[]")  # put back at the end
    boundary.confine([])
    folder = begin("--steps 500 --sleep 0.02")
    running(folder)
    environ = Path(f"/proc/{process(folder, 'child').pid}/environ").read_bytes()
    words = [sys.executable, "-m", "backend", "data", "check", str(private)]
    bounded = subprocess.run(words, capture_output=True, text=True)
    assert bounded.returncode != 0
    assert "--allowed-path" in bounded.stderr
    assert CANARY not in bounded.stdout + bounded.stderr
    monkeypatch.delenv(boundary.VARIABLE)
    free = subprocess.run(words, capture_output=True, text=True)
    assert free.returncode == 0, free.stderr
    assert f"{boundary.VARIABLE}={json.dumps([str(home)])[:-1]}".encode() in environ
