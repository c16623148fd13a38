"""A model is fetched from a hub on the page: searched, downloaded, cancelled, resumed, chosen."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.backend.test_hub import LARGE, NAME, environment, fill
from tests.e2e.conftest import Server
from tests.fakes.model_hub import ModelHub, serving

TOKEN = "hf_typed_s3cret"


@pytest.fixture
def hub() -> Iterator[ModelHub]:
    with serving() as hub:
        fill(hub)
        hub.models |= {"owner/tiny-gguf": {"model.gguf": b"GGUF"}}
        hub.about["owner/tiny-gguf"] = {"tags": ["gguf"], "gated": "manual"}
        yield hub


@pytest.fixture
def server(home: Path, hub: ModelHub) -> Iterator[Server]:
    """A page whose hub is the stand-in, without a token of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {name: each for name, each in environment(hub, home).items() if name != "HF_TOKEN"}
    known = {name: each for name, each in places.items() if os.environ.get(name) != each}
    server = Server(home, port, env=known)
    server.start()
    yield server
    server.kill()


def row(page: Page, part: str, name: str = NAME) -> Locator:
    """A row of a part of the box."""
    return page.locator(f"#hub-model-{part} [data-name='{name}']")


def press(place: Locator, action: str) -> None:
    place.locator(f"[data-action='{action}']").click()


def test_a_model_is_fetched_and_chosen(
    open_page: Callable[..., Page], hub: ModelHub, home: Path
) -> None:
    page = open_page()
    page.locator("#hub-model summary").first.click()
    page.locator("#hub-model-words").fill("tiny")
    page.locator("#hub-model-token").fill(TOKEN)
    page.locator("#hub-model-words").press("Enter")
    expect(row(page, "results")).to_contain_text("1.02 k parameters · apache-2.0 · 7 downloads")
    closed = row(page, "results", "owner/tiny-gguf")
    expect(closed).to_contain_text("gated")
    expect(closed).to_contain_text("no safetensors")
    expect(closed.locator("[data-action]")).to_have_count(0)
    hub.pause = 0.4
    press(row(page, "results"), "get")
    transfer = row(page, "transfers")
    expect(transfer).to_have_attribute("data-step", "busy")
    expect(transfer).to_contain_text("MB / 25.2 MB")
    children = psutil.Process().children(recursive=True)
    words = [" ".join(each.cmdline()) for each in children if each.is_running()]
    assert any(NAME in each for each in words)
    assert not any(TOKEN in each for each in words)
    blobs = home / "hf" / "hub" / "models--owner--tiny" / "blobs"
    page.wait_for_function(
        "() => document.querySelector('#hub-model-transfers progress').value > 0"
    )
    press(transfer, "cancel")
    expect(transfer).to_have_attribute("data-step", "stopped")
    assert [path.suffix for path in blobs.iterdir() if path.stat().st_size > 10**6]
    hub.pause = 0.0
    press(transfer, "resume")
    expect(transfer).to_have_attribute("data-step", "done")
    assert hub.ranges[0] == 0
    assert hub.ranges[-1] > 0
    press(transfer, "use")
    expect(page.locator("#model_name_or_path input")).to_have_value(NAME)
    expect(page.locator("#command")).to_contain_text(NAME)
    assert f"Bearer {TOKEN}" in hub.tokens
    held = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert LARGE in held
    assert not any(TOKEN.encode() in content for content in held)
    assert TOKEN not in page.content()
    assert TOKEN not in page.evaluate("() => JSON.stringify({...localStorage})")


def test_what_lies_on_the_disk_is_deleted(
    open_page: Callable[..., Page], hub: ModelHub, home: Path
) -> None:
    """Once it was asked; what a run uses stays, and that is said."""
    blobs = home / "hf" / "hub" / "models--owner--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{'0' * 64}.incomplete").write_bytes(bytes(5000))
    page = open_page()
    page.locator("#hub-model summary").first.click()
    here = row(page, "disk")
    expect(here).to_contain_text("5 kB so far, not complete")
    press(here, "delete")
    press(here, "delete-no")
    press(here, "delete")
    press(here, "delete-yes")
    expect(here).to_have_count(0)
    expect(page.locator("#hub-model-said")).to_contain_text("5 kB are free again")
    assert not blobs.exists()
    hub.silent = True
    page.locator("#hub-model-words").fill("tiny")
    page.locator("#hub-model-search").click()
    expect(page.locator("#hub-model-said")).to_contain_text("does not answer", timeout=30_000)
    hub.silent = False
    assert json.dumps(hub.ranges) == "[]"
