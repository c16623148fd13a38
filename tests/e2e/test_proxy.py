"""Behind a real nginx, under a path: one that takes the path off, and one that leaves it on."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.services.runs import tail
from backend.contract.runs import run_folder
from backend.contract.runs.states import State
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import ANSWER, box, chosen_in, show_all
from tests.e2e.test_chat_tab import say, settled, stop
from tests.e2e.test_data_tab import upload
from tests.e2e.test_run_life import fill_form, in_state, only_run
from tests.e2e.test_tabs import open_tab
from tests.failures.conftest import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
ROOT_PATH = "/user/proxy/7860/"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        NGINX is None and (os.geteuid() != 0 or shutil.which("apt-get") is None),
        reason="no nginx, and tests/install_browser.sh cannot install it here",
    ),
]
SITE = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
{location}
    }}
}}
"""


@dataclass
class Proxied(Server):
    """A page process that is reached through nginx only; `url` is the address in the browser."""

    front: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front}{ROOT_PATH.rstrip('/')}"


def location(port: int, *, strips: bool) -> str:
    """The block of docs/deployment.md for a page at this port."""
    guide = Path(__file__).parents[2] / "docs" / "deployment.md"
    block = re.search(r"```nginx\n(.*?)```", guide.read_text(encoding="utf-8"), re.S)
    assert block is not None
    ours = block[1].replace("/some/path/", ROOT_PATH)
    end = "/" if strips else ""
    changed = ours.replace("http://127.0.0.1:7860/;", f"http://127.0.0.1:{port}{end};")
    assert changed != ours
    return changed


@contextmanager
def nginx(folder: Path, front: int, block: str) -> Iterator[None]:
    """An nginx of our own, without anything of the system's configuration."""
    folder.mkdir()
    site = folder / "nginx.conf"
    site.write_text(SITE.format(folder=folder, port=front, location=block))
    assert NGINX is not None, "make browser installs nginx"
    with subprocess.Popen([NGINX, "-e", f"{folder}/error.log", "-c", str(site)]) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def home(tiny_home: Path) -> Path:
    return tiny_home


@pytest.fixture(params=[True, False], ids=["strips", "keeps"])
def server(home: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    front, port = free_port(), free_port()
    proxied = Proxied(home, port, env={"GRADIO_ROOT_PATH": ROOT_PATH}, front=front)
    with nginx(home / "nginx", front, location(port, strips=request.param)):
        proxied.start()
        yield proxied
        proxied.kill()


def test_the_page_works_under_a_path(
    open_page: Callable[..., Page], server: Server, home: Path
) -> None:
    """Assets, upload, events, a run, its log, and an answer that comes word by word."""
    page = open_page()
    refused: list[str] = []
    page.on("response", lambda r: refused.append(r.url) if r.status >= 400 else None)
    assert page.evaluate("document.body.classList.contains('dark')") is False
    page.locator("#theme").click()  # our own script
    expect(page.locator("body.dark")).to_be_visible()

    table = home / "mine.csv"
    table.write_text("q,a\n" + "How are you?,Very well.\n" * 20_000)
    open_tab(page, t("tab.data", "en"))
    upload(page, table)
    expect(page.locator("#bring-example")).to_contain_text("Very well.")
    box(page, "columns-name").fill("mine")
    page.locator("#bring-register").click()
    expect(chosen_in(page, "sets-list")).to_have_text("mine")

    open_tab(page, t("tab.train", "en"))
    fill_form(page)
    show_all(page)
    page.locator("#extra_args textarea").fill("max_steps=2")
    expect(page.locator("#command")).to_contain_text("--max_steps 2")
    page.locator("#start").click()
    in_state(page, State.SUCCEEDED, timeout=120_000)
    run = only_run(home)
    with page.expect_download() as download:
        page.locator("#train-run-download").click()
    shown = "".join(tail.read_whole(run / run_folder.LOG))
    assert download.value.path().read_text(encoding="utf-8") == shown != ""

    chat(page)
    page.goto(f"{server.url}/?tab=evaluate&stage=dpo")
    expect(page.get_by_role("tab", name=t("tab.evaluate", "en"))).to_have_attribute(
        "aria-selected", "true"
    )
    open_tab(page, t("tab.runs", "en"))
    expect(page).to_have_url(re.compile(rf"{re.escape(ROOT_PATH)}[?]tab=runs&stage=dpo$"))
    assert refused == []
    names = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert len(names) > 20
    # The browser asks for the icon of the root before the page's script names its own.
    root = server.url.replace(ROOT_PATH.rstrip("/"), "/favicon.ico")
    inside = (f"{server.url}/", "data:", "blob:", root)
    assert [name for name in names if not name.startswith(inside)] == []


def chat(page: Page) -> None:
    """A long answer of the tiny model is seen before it is done, and stopped."""
    open_tab(page, t("tab.chat", "en"))
    page.locator("#chat-load").click()
    status = page.locator("#chat-status textarea, #chat-status input")
    expect(status).to_have_value(re.compile("ready"), timeout=120_000)
    box(page, "chat-temperature").fill("1")
    box(page, "chat-max_new_tokens").fill("1900")
    say(page, "Who are you?")
    turns = page.locator(f"#chat-tuned {ANSWER}")
    expect(turns.first).to_have_text(re.compile(".{20}", re.DOTALL))
    stop(page)
    assert len(settled(turns.first)) < 3000
    page.locator("#chat-load").click()
    expect(status).to_have_value(t("chat.none", "en"))
