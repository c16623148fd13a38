"""The page looks as in the pictures of tests/pictures, which show what a change of it does."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests import pictures
from tests.e2e.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.pictures, pytest.mark.timeout(900)]
MOST_BYTES = 1_500_000


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder whose name is as long as that of the pictures that are kept: what is missing
    is told with its path."""
    monkeypatch.setenv("TZ", "UTC")
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_page_looks_as_in_the_pictures(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    """A change that is meant is written with `python -m tests.pictures write`; what was seen here
    lies in the test's folder."""
    kept = {path.stem: path for path in pictures.FOLDER.glob("*.png")}
    seen = dict(pictures.take(browser, server))
    assert set(seen) == set(kept)
    assert len(seen) == 4 * (len(pictures.EMPTY) + len(pictures.RUNS) + 1)
    for name, image in seen.items():
        image.save(tmp_path / f"{name}.png")
    shares = {
        name: pictures.difference(image, Image.open(kept[name])) for name, image in seen.items()
    }
    assert {n: share for n, share in shares.items() if share > pictures.TOLERANCE} == {}


def test_what_moves_is_seen(browser: Browser, server: Server) -> None:
    """The twin: a distance that has grown by 8 px, and another colour of one button."""
    ready = pictures.EMPTY["train"]
    for style in (
        "body .form-rows { padding-top: 8px; }",
        "body .launch-start { background: #804000 !important; }",
    ):
        with pictures.open_page(browser, server.url, style) as page:
            for name, image in pictures.look_at(page, "train_empty", ready):
                kept = Image.open(pictures.FOLDER / f"{name}.png")
                assert pictures.difference(image, kept) > pictures.TOLERANCE, name


def test_the_pictures_are_small() -> None:
    files = list(pictures.FOLDER.glob("*.png"))
    assert files
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
