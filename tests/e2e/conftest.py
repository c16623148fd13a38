"""The real server, the real backend, a real Chromium."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.backend.conftest import tiny_model_dir, tiny_tokenizer  # noqa: F401 (fixtures)
from tests.e2e.page_process import ForkedPage

ROOT = Path(__file__).parents[2]
expect.set_options(timeout=40_000)  # two busy cores, and slow machines
STARTER = "SmolLM2-135M-Instruct"
TEXTS = set(json.loads((ROOT / "locales" / "en.json").read_text(encoding="utf-8")))
GRADIO_KEY = re.compile(
    r"(common|status|errors|blocks|file|upload_text|chatbot|chat_interface|dataframe|dropdown"
    r"|number|plot|label|checkbox|radio|slider|code|login|image)\.[a-z_]+"
)
# Everything that is read or read out: texts, also hidden ones, names and hints of controls.
WORDS = """() => [...document.querySelectorAll("body *")].flatMap((element) => [
  ...[...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data),
  ...["aria-label", "placeholder", "title", "alt"].map((name) => element.getAttribute(name) || ""),
  typeof element.value === "string" ? element.value : "",
]).map((text) => text.trim()).filter(Boolean)"""
TURNING = "[data-testid=status-tracker]:not(.hide)"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# What pytest writes for each test, and torch and accelerate when they are imported: nothing that a
# page reads.
BY_IMPORTS = ("PYTEST_", "PYTORCH_", "TORCHINDUCTOR_")


def _environment() -> dict[str, str]:
    """This process's, without what tests write into it by importing a package."""
    return {name: value for name, value in os.environ.items() if not name.startswith(BY_IMPORTS)}


AT_START = _environment()


@dataclass
class Server:
    """A page process; `kill` it and `start` it again as often as a test likes."""

    home: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | ForkedPage | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        env = {**os.environ, **self.env, "TUNEBOARD_HOME": str(self.home)}
        env |= {"PYTHONPATH": os.pathsep.join([*self.path, str(ROOT)])}
        args = ["--port", str(self.port)]
        if self.process is None and not self.env and not self.path and _environment() == AT_START:
            self.process = ForkedPage(args, self.home, env)
        else:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend", "webui", *args],
                cwd=self.home,
                env=env,
                stdout=(self.home / "web.log").open("ab"),
                stderr=subprocess.STDOUT,
            )
        limit = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.home / "web.log").read_text()
            assert time.monotonic() < limit, "the page did not answer within 60 s"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/healthz", timeout=2).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self, sign: int = signal.SIGKILL) -> None:
        assert self.process is not None
        self.process.send_signal(sign)
        self.process.wait(20)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def python_path() -> tuple[str, ...]:
    """Folders before the checkout on the server's import path (a test puts stand-ins there)."""
    return ()


@pytest.fixture
def server(home: Path, python_path: tuple[str, ...]) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(home, port, path=python_path)
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill(signal.SIGTERM)
    for process in psutil.process_iter(["environ"]):
        if str(home) in (process.info["environ"] or {}).get("TUNEBOARD_RUN", ""):
            process.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        chromium = shutil.which("chromium")
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Callable[..., Page]]:
    """Open the page in a new visitor's context; nothing outside the server may be asked for, and
    nothing may still turn to say that it is waited for, nor the key of a text be on the page."""
    contexts, foreign, errors = [], [], []

    def opened(**options: object) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 1000}, "locale": "en-US", **options}
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: foreign.append(r.url) if _foreign(r.url, server.url) else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(server.url)
        # The first events are done once a command stands there.
        expect(page.locator("#command")).to_contain_text("--output_dir", timeout=90_000)
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            expect(page.locator(TURNING)).to_have_count(0)
            assert keys_in(page) == []
        context.close()
    assert foreign == []
    assert errors == []


def words_of(page: Page) -> list[str]:
    """Every text of a page that is read or read out."""
    words: list[str] = page.evaluate(WORDS)
    return words


def keys_in(page: Page) -> list[str]:
    """The keys of texts, ours or Gradio's, that stand on a page where their words should."""
    return [text for text in words_of(page) if text in TEXTS or GRADIO_KEY.fullmatch(text)]


def _foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))


@pytest.fixture
def tiny_home(tmp_path: Path, tiny_model_dir: Path) -> Path:  # noqa: F811
    """A working folder with the tiny model under saves/models and a data set of ours."""
    models = tmp_path / "saves" / "models"
    models.mkdir(parents=True)
    (models / "tiny").symlink_to(tiny_model_dir)
    return tmp_path
