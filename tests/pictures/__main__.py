"""`python -m tests.pictures write`: take the pictures of the page anew, some minutes."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import pictures
from tests.bench import free_port
from tests.e2e.conftest import FLAGS, Server


def write() -> None:
    """Replace the pictures that are kept."""
    with tempfile.TemporaryDirectory() as home, sync_playwright() as play:
        os.environ["TUNEBOARD_HOME"] = home
        server = Server(Path(home), free_port(), env={"TZ": "UTC"})
        server.start()
        try:
            browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            taken = dict(pictures.take(browser, server))
        finally:
            server.kill()
    pictures.clear()
    for name, image in taken.items():
        pictures.keep(image, pictures.FOLDER / f"{name}.png")


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    write()
