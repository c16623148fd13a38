"""Pictures of the page as it looks, small ones, which tests/e2e/test_pictures.py compares with.

`python -m tests.pictures write` takes them anew: after a change of the look that is meant, which
the commit then shows. Each tab is seen empty, and the run panel with a run that goes on and one
that has ended; wide and as a phone, light and dark. What changes from day to day or from machine to
machine (names with a date, commands, the machine's figures) is hidden.
"""

import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, ViewportSize, expect

from backend.contract.arguments.arguments import defaults
from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.contract.system import processes
from tests.e2e.conftest import Server

FOLDER = Path(__file__).parent
SIZES = {1440: 1000, 390: 844}
SHRINK = {1440: 4, 390: 2}  # the pictures that are kept are so many times smaller
SCHEMES = ("light", "dark")
COLORS = 64
VISIBLE = 40  # of 255: a difference that an eye sees, and another smoothing of letters is not
TOLERANCE = 0.004  # the share of pixels that may differ so
DARK = "isDark => document.body.classList.toggle('dark', isDark)"
SCROLL = "where => document.querySelector(where).scrollIntoView()"
MOST_LOOKS, PAUSE_MS = 60, 250
STEPS = 120
# One family for all texts, which tests/install_browser.sh installs, and nothing that moves.
STYLE = """
* { font-family: "Noto Sans CJK SC" !important; animation: none !important;
    transition: none !important; caret-color: transparent !important; }
#hardware { height: 40px; overflow: hidden; }
:is(#hardware, #run_name input, #run_name .form-line, .launch-command code, #recipe-commands,
    [id$="-machine"], .run-files) { visibility: hidden !important; }
"""
EMPTY = {
    "train": "#command code",
    "data": "#sets-list .list-row",
    "recipes": "#recipe .list-row",
    "evaluate": "#eval-command code",
    "chat": "#chat-message textarea",
    "export": "#export-command code",
    "runs": "#runs-table .list-empty",
}
PANEL = "#train-run-chart .main-svg"
RUNS = ("finished", "running")


def take(browser: Browser, server: Server) -> Iterator[tuple[str, Image.Image]]:
    """Each picture with its name. The server's working folder has no runs at first."""
    with open_page(browser, server.url) as page:
        for tab, ready in EMPTY.items():
            page.locator(f"#tab-{tab}-button").click()
            yield from look_at(page, f"{tab}_empty", ready)
    for run in RUNS:
        write_run(server.home, run)
    for run in RUNS:
        address = f"{server.url}/?tab=train&run=saves/model/lora/{run}"
        with open_page(browser, address) as page:
            yield from look_at(page, run, PANEL)
    with open_page(browser, f"{server.url}/?tab=runs") as page:
        yield from look_at(page, "runs", "#runs-table .list-row")


@contextmanager
def open_page(browser: Browser, address: str, style: str = "") -> Iterator[Page]:
    """The page at an address, with `style` put upon its own."""
    look = {"color_scheme": "light", "locale": "en-US", "timezone_id": "UTC"}
    context = browser.new_context(viewport=_size(1440), **look)
    try:
        context.set_default_timeout(90_000)
        page = context.new_page()
        page.goto(address)
        page.add_style_tag(content=STYLE + style)
        expect(page.locator("#command code")).to_be_attached(timeout=90_000)
        yield page
    finally:
        context.close()


def look_at(page: Page, name: str, ready: str) -> Iterator[tuple[str, Image.Image]]:
    """The open tab, wide and as a phone, light and dark: once what `ready` names is there and
    nothing changes any more."""
    expect(page.locator(ready).first).to_be_attached(timeout=90_000)
    page.mouse.move(0, 0)
    for width in SIZES:
        page.set_viewport_size(_size(width))
        for scheme in SCHEMES:
            page.evaluate(DARK, scheme == "dark")
            page.evaluate(SCROLL, "#train-run" if ready == PANEL else "#header")
            yield f"{name}_{width}_{scheme}", shrink(_settle(page), SHRINK[width])
    page.set_viewport_size(_size(1440))


def _size(width: int) -> ViewportSize:
    return {"width": width, "height": SIZES[width]}


def _settle(page: Page) -> bytes:
    """A screenshot like the one before it."""
    before = b""
    for _ in range(MOST_LOOKS):
        now = page.screenshot(animations="disabled")
        if now == before:
            return now
        before = now
        page.wait_for_timeout(PAUSE_MS)
    raise TimeoutError(f"the page goes on changing: {page.url}")


def shrink(png: bytes, times: int) -> Image.Image:
    """A picture so many times smaller, each pixel the mean of those it stands for."""
    return Image.open(io.BytesIO(png)).convert("RGB").reduce(times)


def keep(image: Image.Image, path: Path) -> None:
    """Write a picture with few colours, so that a set of them is small."""
    image.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of pixels that differ visibly; 1.0 for pictures of different sizes."""
    if one.size != other.size:
        return 1.0
    bands = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    return sum(most.histogram()[VISIBLE:]) / (one.width * one.height)


def write_run(home: Path, name: str) -> None:
    """A run that has ended, or one that goes on: this process is what watches it."""
    folder = home / "saves" / "model" / "lora" / name
    folder.mkdir(parents=True)
    running = name == "running"
    arguments = {**defaults("train"), "model_name_or_path": "org/model", "dataset": "identity"}
    row = {"kind": "train", "arguments": arguments, "argv": [], "token": name, "sequence": running}
    row["created"] = f"2026-11-28T1{int(running)}:00:00"
    status = {"phase": "training", "step": STEPS, "total": STEPS * (1 + running)}
    for step in range(1, STEPS + 1):
        loss = 1 + math.exp(-step / 40) + 0.1 * math.sin(step * 1.7)
        known = {"learning_rate": 1e-4, "grad_norm": 1.0, "tokens_per_second": 236.0}
        one = Metrics(step=step, epoch=step / 40, loss=loss, tokens=step * 500, **known)
        metrics.append(folder / run_folder.METRICS, one)
    last = Metrics(step=STEPS, epoch=3.0, eval_loss=1.1, time=STEPS)
    metrics.append(folder / run_folder.METRICS, last)
    files: dict[str, object] = {run_folder.STATUS: status}
    supervisor = processes.identify(os.getpid()).to_json()
    if running:
        boot = processes.boot_id()
        files[run_folder.LAUNCH] = {"supervisor": supervisor, "boot_id": boot, "uptime": 0.0}
    else:
        files[run_folder.EXIT] = {"code": 0, "seconds": 412.0}
    for file, content in {**files, run_folder.RUN: row}.items():
        (folder / file).write_text(json.dumps(content, default=str))
    lines = (f"step {step} of {STEPS}" for step in range(1, STEPS + 1))
    (folder / run_folder.LOG).write_text("\n".join(lines) + "\n")


def clear() -> None:
    """Remove the pictures that are kept."""
    for path in FOLDER.glob("*.png"):
        with suppress(FileNotFoundError):
            path.unlink()
