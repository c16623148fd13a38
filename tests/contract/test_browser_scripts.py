"""What the page's scripts must not do to the browser or to Gradio, nor Python in place of them."""

import re

from tests.contract.source import ROOT

APP = ROOT / "app"
CLOCK = "app/browser/clock.js"  # the page has one
FORBIDDEN = {
    "a timer of its own": r"\bsetInterval\(",
    "a global": r"\bwindow\.\w+\s*=[^=]",
    "a patch of an object": r"\b(Object|navigator|clipboard|\w+\.prototype)\.[\w.]+\s*=[^=>]",
    "a press of another part's control": r"querySelector(All)?\([^)]*\)\??\.click\(",
    "text as markup": r"\.(innerHTML|outerHTML)\s*=|insertAdjacentHTML",
}
JAVASCRIPT = re.compile(r"""\bjs=\s*f?["']|=>\s*[{\[]|\bdocument\.query""")
PRIVATE = re.compile(
    r"gr\.context\.|\bprocess_api\s*=|\._queue\b|\bGradioMultiPartParser\b|route_utils"
)
MOUNTS = "app/form/component.py"  # the one place with a line of JavaScript
# Still to go, with the rows that are Gradio's.
OLD_PYTHON = "app/tabs/data/"


def lines(suffix: str) -> dict[str, str]:
    """The lines of the page's sources without comments, by "path:line"."""
    return {
        f"{path.relative_to(ROOT)}:{number}": line
        for path in sorted(APP.rglob(f"*{suffix}"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if not line.lstrip().startswith(("//", "*", "/*", "#"))
    }


def uses(pattern: str | re.Pattern[str], suffix: str, *allowed: str) -> list[str]:
    """Where a pattern is, but for the allowed files."""
    return [
        place
        for place, line in lines(suffix).items()
        if re.search(pattern, line) and place.partition(":")[0] not in allowed
    ]


def test_scripts_leave_the_browser_and_gradio_as_they_are() -> None:
    assert len(lines(".js")) > 1500
    found = {what: uses(pattern, ".js", CLOCK) for what, pattern in FORBIDDEN.items()}
    assert found == {what: [] for what in FORBIDDEN}


def test_the_patterns_see_what_they_stand_for() -> None:
    """What was done before."""
    written = {
        "a timer of its own": "  setInterval(follow, 250);",
        "a global": "window.tuneboard = (() => {",
        "a patch of an object": "  Object.entries = (object) => {",
        "a press of another part's control": "document.querySelector('#data-show')?.click();",
        "text as markup": "    reader.innerHTML = error;",
    }
    assert set(written) == set(FORBIDDEN)
    for what, line in written.items():
        assert re.search(FORBIDDEN[what], line), what
    assert JAVASCRIPT.search('js="() => window.scrollTo(0, 0)"')
    assert PRIVATE.search("load = gr.context.Context.root_block.load")


def test_python_writes_no_javascript() -> None:
    assert len(lines(".py")) > 5000
    found = uses(JAVASCRIPT, ".py", MOUNTS)
    assert [place for place in found if not place.startswith(OLD_PYTHON)] == []


def test_python_touches_nothing_private_of_gradio() -> None:
    assert uses(PRIVATE, ".py") == []
