"""The download of a finished export: one zip file of known length, whole or in parts."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.settings import Settings
from app.web import export_feed
from app.web.guard import Guard
from app.web.requests import Requests
from backend.contract.runs import run_folder

PLACE = "/own/export"
LOGIN = ("me", "secret")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A visitor who has logged in."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    api = FastAPI()
    api.include_router(export_feed.router)
    checked = Requests(api, cast(Any, None))  # without Gradio: nothing is posted here
    guard = Guard(checked, Settings(login=":".join(LOGIN)))
    visitor = TestClient(guard, base_url="http://127.0.0.1")
    visitor.auth = LOGIN
    return visitor


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """A finished export run "model/export/one" into mine/, which has these files."""
    content = {
        "model.safetensors": os.urandom(3_000_001),
        "config.json": b"{}",
        "übung/α.txt": b"text",
        "empty": b"",
    }
    folder = tmp_path / "mine"
    for name, each in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(each)
    run = tmp_path / "saves" / "model" / "export" / "one"
    run.mkdir(parents=True)
    row = {"kind": "export", "arguments": {"export_dir": str(folder)}}
    (run / run_folder.RUN).write_text(json.dumps(row))
    (run / run_folder.EXIT).write_text('{"code": 0}')
    return content


def fetch(client: TestClient, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(PLACE, params={"run": "model/export/one"}, headers=named)


def test_the_zip_holds_the_folder(client: TestClient, files: dict[str, bytes]) -> None:
    response = fetch(client)
    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''mine.zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            f"mine/{name}": content for name, content in files.items()
        }
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
    head = client.head(PLACE, params={"run": "model/export/one"})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(response.content)))


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [("1000000-", 1_000_000, None), ("0-0", 0, 1), ("5-299999", 5, 300_000), ("-100", -100, None)],
)
def test_a_download_goes_on_where_it_broke_off(
    client: TestClient, files: dict[str, bytes], wanted: str, begin: int, end: int | None
) -> None:
    whole = fetch(client)
    part = fetch(client, range=f"bytes={wanted}", if_range=whole.headers["etag"])
    assert part.status_code == 206
    assert part.content == whole.content[begin:end]
    size = len(whole.content)
    first = begin % size
    last = first + len(part.content) - 1
    assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"


def test_a_part_of_other_files_is_not_given(
    client: TestClient, files: dict[str, bytes], tmp_path: Path
) -> None:
    before = fetch(client).headers["etag"]
    (tmp_path / "mine" / "config.json").write_text("{ }")
    after = fetch(client, range="bytes=100-", if_range=before)
    assert after.status_code == 200
    assert after.headers["etag"] != before
    assert len(after.content) == int(after.headers["content-length"])


@pytest.mark.parametrize("wanted", ["bytes=9999999999-", "bytes=-0", "bytes=7-5"])
def test_a_part_that_does_not_exist(
    client: TestClient, files: dict[str, bytes], wanted: str
) -> None:
    response = fetch(client, range=wanted)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(fetch(client).content)}"


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"])
def test_what_is_no_range_gets_everything(
    client: TestClient, files: dict[str, bytes], wanted: str
) -> None:
    assert fetch(client, range=wanted).status_code == 200


def test_links_do_not_lead_out(client: TestClient, files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text("secret")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "private" / "key")
    (tmp_path / "mine" / "folder").symlink_to(tmp_path / "private")
    with zipfile.ZipFile(io.BytesIO(fetch(client).content)) as archive:
        assert len(archive.namelist()) == len(files)


@pytest.mark.parametrize("run", ["", "/", "..", "model", "mine", "a\0b", "x" * 5000])
def test_only_exports_that_the_page_lists(
    client: TestClient, files: dict[str, bytes], run: str
) -> None:
    assert client.get(PLACE, params={"run": run}).status_code == 404
    assert client.get(PLACE).status_code == 422


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (run_folder.EXIT, '{"code": 1}'),
        (run_folder.RUN, '{"kind": "train", "arguments": {"export_dir": "mine"}}'),
    ],
)
def test_nothing_of_a_failed_export_or_of_another_run(
    client: TestClient, files: dict[str, bytes], tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "saves" / "model" / "export" / "one" / name).write_text(content)
    assert fetch(client).status_code == 404


def test_login_and_host_are_asked_for(client: TestClient, files: dict[str, bytes]) -> None:
    assert fetch(client, host="elsewhere.example").status_code == 403
    client.auth = None
    assert fetch(client).status_code == 401
