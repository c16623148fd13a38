"""The Try-it run as it looks, for README: `python -m tests.animation docs`, some minutes on a CPU.

Writes train.png, the Train tab with the finished run, and first-run.gif, from the press of Try it
to the answer of the tuned model. Time runs faster in it while the model is trained.
"""

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from app.services.models.catalog import STARTER
from backend.contract.texts.locales import t
from tests.bench import free_port
from tests.e2e.conftest import FLAGS, Server
from tests.e2e.forms import expect_ready
from tests.shots import opened

MODEL = Path(__file__).parents[1] / "saves" / "models" / STARTER
SIZE = {"width": 1280, "height": 800}
GIF_WIDTH, COLORS = 960, 64
TRAINING_S, MOST_S = 4.0, 900.0  # between two frames while the model is trained, in all
FRAME_MS, LONG_MS = 600, 2400
QUESTION = "Who are you?"

Frames = list[tuple[Image.Image, int]]


def record(out: Path, home: Path) -> None:
    """Write the two files to `out`; `home` is a working folder with nothing in it."""
    models = home / "saves" / "models"
    models.mkdir(parents=True)
    (models / STARTER).symlink_to(MODEL)
    server = Server(home, free_port())
    server.start()
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            page = browser.new_page(viewport=SIZE, locale="en-US", color_scheme="light")
            opened(page, server.url)
            frames = [*_train(page, out), *_talk(page)]
    finally:
        server.kill()
    _write(frames, out / "first-run.gif")


def _train(page: Page, out: Path) -> Iterator[tuple[Image.Image, int]]:
    yield _look(page, LONG_MS)
    page.locator("#try-fill").click()
    expect_ready(page)
    yield _look(page, LONG_MS)
    page.locator("#start").click()
    state = page.locator("#train-run-state", has_text=t("state.SUCCEEDED", "en"))
    yield from _watch(page, TRAINING_S, state.is_visible)
    page.wait_for_timeout(2000)
    page.screenshot(path=out / "train.png")
    yield _look(page, LONG_MS)


def _talk(page: Page) -> Iterator[tuple[Image.Image, int]]:
    page.locator("#train-run-chat").click()
    message = page.locator("#chat-message textarea")
    message.fill(QUESTION)
    yield _look(page, LONG_MS)
    message.press("Enter")
    words: list[str] = []

    def answered() -> bool:
        words.append(page.locator("#chat-tuned").inner_text())
        return len(words) > 3 and words[-1] == words[-4] and len(words[-1]) > len(QUESTION) + 60

    yield from _watch(page, 1.0, answered)
    yield _look(page, 2 * LONG_MS)


def _watch(
    page: Page, every: float, is_done: Callable[[], bool]
) -> Iterator[tuple[Image.Image, int]]:
    """A frame each time that so many seconds have passed, until it is done."""
    until = time.monotonic() + MOST_S
    while not is_done():
        if time.monotonic() > until:
            raise TimeoutError("The run did not come to its end.")
        page.wait_for_timeout(every * 1000)
        yield _look(page, FRAME_MS)


def _look(page: Page, milliseconds: int) -> tuple[Image.Image, int]:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(picture.height * GIF_WIDTH / picture.width)
    return picture.resize((GIF_WIDTH, height), Image.Resampling.LANCZOS), milliseconds


def _write(frames: Frames, path: Path) -> None:
    """One palette for all frames, so that what stays the same costs nothing."""
    palette = frames[len(frames) // 2][0].quantize(COLORS)
    pictures = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame, _ in frames]
    times = [milliseconds for _, milliseconds in frames]
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=times, loop=0, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as fresh:
        record(Path(sys.argv[1]), Path(fresh).resolve())
