"""The limits of the code base hold from the first day: file, function, complexity is ruff's."""

import ast
from pathlib import Path

import pytest

from app.form.component import make_component
from tests.contract.source import ROOT, files, parsed

FILE_LINES, FUNCTION_LINES = 400, 60


def too_long(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    found = (
        [f"{path.name}: {len(text.splitlines())} lines"]
        if len(text.splitlines()) > FILE_LINES
        else []
    )
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            if size > FUNCTION_LINES:
                found.append(f"{path.name}:{node.lineno} {node.name}: {size} lines")
    return found


def test_files_and_functions_are_short() -> None:
    assert len(files()) > 300
    assert [row for path in files() for row in too_long(path)] == []


def test_a_long_function_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text("def f():\n" + "    x = 1\n" * FUNCTION_LINES)
    assert too_long(file) == ["long.py:1 f: 61 lines"]


def undocumented(path: Path) -> list[str]:
    tree = parsed(path)
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    rows = [f"{path.name}: {node.name}" for node in public if not ast.get_docstring(node)]
    return rows + ([] if ast.get_docstring(tree) or not tree.body else [f"{path.name}: module"])


def test_every_module_and_public_name_has_a_docstring() -> None:
    assert [row for path in files() for row in undocumented(path)] == []


def calls(path: Path) -> list[str]:
    """Dotted names of all calls, with `name(keyword=literal)` for the dangerous keywords."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found.append(name)
            for keyword in node.keywords:
                if keyword.arg in {"shell", "trust_remote_code", "weights_only", "allow_pickle"}:
                    found.append(f"{keyword.arg}={ast.unparse(keyword.value)}")
    return found


DANGEROUS = {
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "pickle.load",
    "pickle.loads",
    "joblib.load",
    "eval",
    "exec",
    "gr.HTML",
    "shell=True",
    "trust_remote_code=True",
    "weights_only=False",
    "allow_pickle=True",
}


def test_nothing_dangerous_is_called() -> None:
    """S-01, S-04, S-07, X-01: no shell, no pickle, no code of strangers, no raw HTML: our own
    components are made in one place, of constant templates."""
    found = [(path.name, call) for path in files() for call in calls(path) if call in DANGEROUS]
    assert found == [("component.py", "gr.HTML")]


@pytest.mark.parametrize("mark", ["${value}", "{{value}}"])
def test_a_template_holds_no_placeholder(mark: str) -> None:
    """Gradio would run what stands there as code, whoever has written it."""
    with pytest.raises(AssertionError):
        make_component("form", f"<div>{mark}</div>")


def test_a_dangerous_call_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("import subprocess\nsubprocess.run('x', shell=True)\n")
    assert "shell=True" in calls(file)


def test_the_backend_package_runs_nothing() -> None:
    source = (ROOT / "backend" / "__init__.py").read_text()
    assert len(ast.parse(source).body) == (ast.get_docstring(ast.parse(source)) is not None)
