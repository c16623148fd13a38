"""What a browser is told to fetch with the page: its style sheets, the scripts of the first tab.

Gradio loads a component's script when it draws it, and its imports one after another. A style sheet
that it gets as `css` it writes anew (6.31), and loses rules: findings/gradio_css_loses_rules.sh.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from backend.contract.texts.locales import languages

FOLDER = Path(__file__).parents[1] / "browser"
STYLES = ("scale.css", "page.css")
BEGIN = "begin.js"  # run at once
FIRST = (
    "mount.js",
    "form.js",
    "purpose.js",
    "facts.js",
    "launch.js",
    "run_panel.js",
    "stamp.js",
    "strip.js",
    "keeping.js",
)
IMPORT = re.compile(r'^(?:import|\} from|export) ?.*"\./([\w.-]+\.js)";$', re.MULTILINE)
END = b"</head>"


def add_first(page: bytes) -> bytes:
    """The HTML of the page with these in its head."""
    assert page.count(END) == 1
    return page.replace(END, "".join(tags()).encode() + END)


def tags() -> Iterator[str]:
    """The elements of the head. Without the icon's a browser requests /favicon.ico, which behind a
    proxy belongs to another server."""
    yield f'<meta name="languages" content="{html.escape(" ".join(languages()))}">'
    yield '<link rel="icon" href="favicon.ico">'
    for name in STYLES:
        yield f'<link rel="stylesheet" href="own/browser/{name}">'
    yield f'<script type="module" src="own/browser/{BEGIN}"></script>'
    for name in modules():
        yield f'<link rel="modulepreload" href="own/browser/{name}">'


def modules() -> list[str]:
    """The scripts of the first tab, and all that they import."""
    reached: dict[str, None] = {}
    left = [*reversed(FIRST)]
    while left:
        name = left.pop()
        if name not in reached:
            reached[name] = None
            left += IMPORT.findall((FOLDER / name).read_text(encoding="utf-8"))
    return [*reached]
