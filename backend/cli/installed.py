"""`tuneboard env`, `version` and `webui`: what is installed, and the page, where that is."""

import os
import platform
import sys
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version

from backend.contract.folders.home import home
from backend.contract.texts.terminal_text import say

PACKAGES = (
    "tuneboard",
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "accelerate",
    "gradio",
    "bitsandbytes",
)


def print_environment(_: Namespace) -> int:
    """Print the versions and folders that a bug report needs."""
    lines = [f"python {platform.python_version()} on {platform.platform()}", f"home {home()}"]
    for name in PACKAGES:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} -")
    say("\n".join(lines))
    return 0


def print_version(_: Namespace) -> int:
    """Print the version of Tuneboard."""
    say(f"tuneboard {version('tuneboard')}")
    return 0


def open_page(options: Namespace) -> int:
    """The page is another process image: the worker's code never meets it. Raises UsageError."""
    from backend.contract.preflight import requirements  # the table of arguments: 40 ms

    requirements.require_page()
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "app", *options.words])
