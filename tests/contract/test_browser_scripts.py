"""What the page's scripts must not do to the browser or to Gradio, nor Python in place of them."""

import ast
import re
from pathlib import Path

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
HTML = re.compile(r"\bgr\.HTML\(|\bjs_on_load=")
PRIVATE = re.compile(
    r"gr\.context\.|\bprocess_api\s*=|\._queue\b|\bGradioMultiPartParser\b|route_utils"
)
CALLS = {"make_call", "LISTING.set_place", "STAGES.set_place"}
MOUNTS = "app/form/component.py"  # the one place with a line of JavaScript


def lines(suffix: str) -> dict[str, str]:
    """The lines of the page's sources without comments, by "path:line"."""
    return {
        f"{path.relative_to(ROOT)}:{number}": line
        for path in sorted(APP.rglob(f"*{suffix}"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if not line.lstrip().startswith(("//", "*", "/*", "#"))
    }


def scripts_of(path: Path) -> list[str]:
    """What stands in a source as `js` of an event: the functions that make it, else the code.

    A name stands for what is bound to it in the same file.
    """
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    bound = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = (node for node in nodes if isinstance(node, ast.Call))
    given = [each.value for node in calls for each in node.keywords if each.arg == "js"]
    values = [bound.get(each.id, each) if isinstance(each, ast.Name) else each for each in given]
    return [ast.unparse(value.func if isinstance(value, ast.Call) else value) for value in values]


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
    assert uses(JAVASCRIPT, ".py", MOUNTS) == []
    assert uses(HTML, ".py", MOUNTS) == []


def test_an_event_runs_nothing_but_a_function_of_a_module() -> None:
    """What an event takes as `js` is made by make_call, or by a method that does so."""
    scripts = [script for path in sorted(APP.rglob("*.py")) for script in scripts_of(path)]
    assert len(scripts) > 12
    assert [script for script in scripts if script not in CALLS] == []


def test_a_script_of_an_event_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "tab.py"
    path.write_text("START = '() => 1'\nmine = make_call('a', 'b')\nbox.click(f, js=START)\n")
    assert scripts_of(path) == ["'() => 1'"]
    path.write_text("mine = make_call('a', 'b')\nbox.click(f, js=mine)\nbox.input(js=data.SHOW)\n")
    assert scripts_of(path) == ["make_call", "data.SHOW"]


def test_python_touches_nothing_private_of_gradio() -> None:
    assert uses(PRIVATE, ".py") == []
