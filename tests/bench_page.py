"""The page in Chromium: how large it is, how soon it is usable, and how soon it answers.

Each figure of time is the median of ROUNDS; the bare page is one Blocks with two tabs and a box.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from app.ui import build
from tests import bench_run
from tests.e2e.conftest import FLAGS, Server

ROUNDS = 7
IDLE_S = 20
STAGES = ("dpo", "kto", "ppo", "pt", "rm", "grpo")
BOX, READY = "textarea", "document.querySelector('#command code')?.textContent"
COMMAND = "document.querySelector('#command code').textContent.includes('{}')"
LABEL = "document.querySelector('#learning_rate label').textContent !== '{}'"
LANGUAGES = ("中文", "Deutsch", "日本語", "Français", "한국어", "Español", "English")


def page(ports: tuple[int, int], bare: str) -> None:
    """Print the figures of our page and of a bare one, the script `bare`, on two free ports."""
    blocks = build({})
    asking = [event for event in blocks.fns.values() if event.fn is not None]
    print(f"components {len(blocks.blocks)}, events {len(blocks.fns)}")
    print(f"most inputs of an event {max(len(event.inputs) for event in asking)}")
    with tempfile.TemporaryDirectory() as home, _bare(ports[1], bare) as plain:
        server = Server(Path(home), ports[0])
        server.start()
        try:
            _print_first(server.url)
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                _print_usable(browser, server.url, plain)
                _print_answers(browser.new_page(locale="en-US"), server.url)
            bench_run.follow(server, Path(home))
        finally:
            server.kill()


@contextmanager
def _bare(port: int, script: str) -> Iterator[str]:
    """The address of the bare page, once it answers."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-c", script.format(port=port)]) as process:
        while process.poll() is None:
            try:
                urllib.request.urlopen(url)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        try:
            yield url
        finally:
            process.terminate()


def _print_first(url: str) -> None:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        size = len(urllib.request.urlopen(url).read())
        times.append(1000 * (time.perf_counter() - start))
    print(f"first HTML {size / 1000:.0f} kB in {statistics.median(times):.0f} ms")


def _print_usable(browser: Browser, ours: str, plain: str) -> None:
    """In turn; READY is there once the form is drawn and judged."""
    pairs = [(_usable(browser, ours, READY), _usable(browser, plain, _is(BOX))) for _ in range(5)]
    mine, other = (statistics.median(each) for each in zip(*pairs, strict=True))
    print(f"usable after {mine:.1f} s, a bare page {other:.1f} s: {mine / other:.2f} times")


def _is(selector: str) -> str:
    return f"document.querySelector('{selector}')"


def _usable(browser: Browser, url: str, ready: str) -> float:
    """Seconds until a new visitor's page is usable."""
    context = browser.new_context(locale="en-US")
    start = time.perf_counter()
    opened = context.new_page()
    opened.goto(url)
    opened.wait_for_function(ready, polling=20)
    seconds = time.perf_counter() - start
    context.close()
    return seconds


def _print_answers(opened: Page, url: str) -> None:
    """How soon a keystroke, a stage and a language show, and what an idle page costs."""
    opened.goto(url)
    opened.wait_for_function(READY)
    opened.wait_for_timeout(3000)
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.post_data or ""))
    box, stage = opened.locator("#learning_rate input"), opened.locator("#stage select")
    keys = [_shown(opened, box.fill, f"{n}e-4", COMMAND.format(f"000{n}")) for n in range(1, 8)]
    print(f"keystroke {statistics.median(keys):.0f} ms, {len(sent) / ROUNDS:.1f} requests")
    print(f"sent for one {statistics.median(map(len, sent)) / 1000:.1f} kB")
    stages = [
        _shown(opened, stage.select_option, each, COMMAND.format(f"--stage {each}"))
        for each in STAGES
    ]
    print(f"stage {statistics.median(stages):.0f} ms")
    languages = [_language(opened, name) for name in LANGUAGES]
    print(f"language {statistics.median(languages):.0f} ms")
    opened.wait_for_timeout(5000)
    session = opened.context.new_cdp_session(opened)
    session.send("Performance.enable")
    sent.clear()
    before = _seconds(session)
    opened.wait_for_timeout(1000 * IDLE_S)
    spent = (_seconds(session) - before) / IDLE_S
    print(f"idle: {len(sent) / IDLE_S:.2f} requests a second, {spent:.1%} of a core")


def _language(opened: Page, name: str) -> float:
    """Milliseconds from the press on a language until the labels are written in it."""
    label = opened.locator("#learning_rate label").text_content()
    opened.locator("#language input").click()
    opened.get_by_role("option", name=name, exact=True).hover()  # once the list has opened

    def press(_: str) -> None:
        opened.mouse.down()
        opened.mouse.up()

    return _shown(opened, press, "", LABEL.format(label))


def _shown(opened: Page, act: Callable[[str], object], value: str, ready: str) -> float:
    """Milliseconds from an act until the page shows what follows from it."""
    start = time.perf_counter()
    act(value)
    opened.wait_for_function(ready, polling=5)
    return 1000 * (time.perf_counter() - start)


def _seconds(session: CDPSession) -> float:
    """Seconds of a core that the page's renderer has used for tasks."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
