"""The page without the worker, and what they share without either: each says what is missing."""

import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

from backend.contract.preflight import requirements
from tests.failures.conftest import free_port
from tests.loops import check_each

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
# Where a package is imported by another name than it is installed by.
MODULES = {"python-multipart": "python_multipart", "rouge-score": "rouge_score"}
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def modules(extra: str) -> set[str]:
    """What an extra installs, by the names that are imported."""
    names = {re.split(r"[\[<>=]", each)[0] for each in EXTRAS[extra]}
    return {MODULES.get(name, name) for name in names}


def environment(folder: Path, *extras: str) -> dict[str, str]:
    """The environment of a Python in which the packages of some extras cannot be imported."""
    missing = sorted(set().union(*map(modules, extras)))
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT.format(missing=missing))
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "TUNEBOARD_HOME": str(folder)}


# Many commands in one process, for a start of Python costs more than most of them.
COMMANDS = """
import contextlib, io, json, sys
from backend.__main__ import main

for words in json.loads(sys.argv[1]):
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main(words.split())
    print(json.dumps([code, errors.getvalue()]))
"""


def tuneboard(env: dict[str, str], *commands: str) -> dict[str, tuple[int, str]]:
    """The exit code and the standard error of each command, by the command."""
    argv = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(argv, env=env, cwd=env["TUNEBOARD_HOME"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(commands, outcomes, strict=True))


def test_what_is_looked_for_is_what_the_extras_install() -> None:
    assert set(requirements.PAGE) <= modules("page")
    assert set(requirements.WORKER) <= modules("worker")


NEED_THE_WORKER = (
    "train --dataset identity --model_name_or_path m",
    "eval --eval_dataset identity --model_name_or_path m",
    "export --model_name_or_path m --export_dir new",
    "chat --model_name_or_path m",
    "data tokens --dataset identity --model_name_or_path m --rows 0:1",
    "data clean identity --into short --max_tokens 20 --model_name_or_path m",
    "starter",
)


def test_a_command_that_needs_the_worker_says_so(tmp_path: Path) -> None:
    outcomes = tuneboard(environment(tmp_path, "worker"), *NEED_THE_WORKER)

    def check(outcome: tuple[int, str]) -> None:
        code, error = outcome
        assert code == 2
        assert "pip install '.[worker]'" in error
        assert "Traceback" not in error

    assert check_each(outcomes, check) == len(NEED_THE_WORKER)
    assert not list(tmp_path.glob("saves/*/*"))


def test_data_and_lists_need_neither_page_nor_worker(tmp_path: Path) -> None:
    commands = (
        "--help",
        "train --help",
        "runs",
        "recipe",
        "env",
        "data list",
        "data check identity",
        "data preview identity --rows 0:2",
        "data clean identity --into once --exact --near 0.8",
        "data split once --ratio 0.1",
    )
    outcomes = tuneboard(environment(tmp_path, "page", "worker"), *commands, "webui")
    code, error = outcomes.pop("webui")
    assert code == 2
    assert "pip install '.[page]'" in error
    assert {words: code for words, (code, _) in outcomes.items()} == dict.fromkeys(commands, 0)


def test_the_page_answers_without_the_worker(tmp_path: Path) -> None:
    env = environment(tmp_path, "worker")
    argv = [sys.executable, "-m", "backend", "webui", "--port", str(free_port())]
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            address = re.search(r"http://\S+\d", page.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address[0], timeout=60) as answer:
                assert b"Tuneboard" in answer.read()
        finally:
            page.terminate()


def test_the_mcp_server_without_its_package_says_how_to_install_it(tmp_path: Path) -> None:
    env = environment(tmp_path, "mcp")
    (code, error) = tuneboard(env, "mcp")["mcp"]
    assert code == 2
    assert error.endswith("pip install -c constraints.txt -e '.[mcp]'\n")
    assert error.count("\n") == 1
