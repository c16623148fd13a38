"""F-01, F-02: names that could surprise are refused; what we make of a model's is not."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.contract.arguments.names import check_name, check_output_dir, to_name
from backend.contract.folders.home import saves
from backend.contract.launching import launch
from backend.contract.texts.locales import has
from tests.loops import check_each

BAD = [
    *(
        "",
        " ",
        ".",
        "..",
        "../x",
        "/etc/x",
        "..\\x",
        "C:\\x",
        "~",
        "~root",
        "$HOME",
        "%2e%2e",
        "a/b",
    ),
    *("nul\0byte", "CON", "con", "aux.txt", "COM1", "lpt9", "NUL", "dot.", "space ", " space"),
    *(
        "-rf",
        "--help",
        ".hidden",
        "line\nbreak",
        "tab\there",
        "\u202egpj",
        "zero\u200bwidth",
        "\ud800",
    ),
    *(
        "a" * 129,
        "a" * 255,
        "a" * 256,
        "a" * 10**6,
        "字" * 43,
        "a,b",
        "a*",
        'a"b',
        "\x7f",
        "\u2028",
    ),
]
GOOD = [
    "run",
    "train_2026-01-02-03-04-05",
    "eval.1",
    "微调",
    "🙂",
    "a b",
    "Qwen2.5-0.5B",
    "é",
    "it's",
    "a" * 128,
]


def test_refused_in_one_line() -> None:
    def check(name: str) -> None:
        problem = check_name(name)
        assert problem is not None
        assert has(f"problem.{problem.code}")
        assert "\n" not in problem.text()
        assert len(problem.text()) < 400
        problem.text().encode()

    assert check_each({f"{at} {name[:40]!a}": name for at, name in enumerate(BAD)}, check) > 40


def test_taken() -> None:
    assert [name for name in GOOD if check_name(name) is not None] == []
    assert len(GOOD) > 8


@given(st.text(max_size=200))
def test_a_name_that_is_taken_stays_in_its_folder(name: str) -> None:
    if check_name(name) is None:
        path = Path("/root/folder") / name
        assert os.path.normpath(path) == str(path)
        assert path.parent == Path("/root/folder")
        assert all(unicodedata.category(mark)[0] != "C" for mark in name)


@given(st.text(max_size=200))
def test_what_is_made_of_a_model_name_is_a_name(text: str) -> None:
    assert check_name(to_name(text)) is None


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5-0.5B-Instruct"),
        ("saves/models/SmolLM2-135M-Instruct/", "SmolLM2-135M-Instruct"),
        ("..", "model"),
        ("C:\\models\\x", "x"),
        ("a b, c", "a-b-c"),
    ],
)
def test_plain(given_name: str, expected: str) -> None:
    assert to_name(given_name) == expected


@pytest.mark.parametrize("model", ["models", "arguments", "../../etc", "/", "x" * 500])
def test_the_default_place_is_below_saves(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """saves/models and saves/arguments hold no runs."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    values = {"model_name_or_path": model, "finetuning_type": "lora"}
    parts = launch.default_output_dir(values, "train").relative_to(saves()).parts
    assert len(parts) == 3
    assert parts[0] not in {"models", "arguments"}
    assert parts[1] == "lora"
    assert parts[2].startswith("train_")
    assert launch.default_output_dir(values, "train", "My model").parts[-3] == "My-model"


@pytest.mark.parametrize(
    "path", ["", " ", "a\0b", "a\nb", "\u202ea", "x" * 256, "/".join(["y"] * 4000)]
)
def test_output_dir_refused(path: str) -> None:
    problem = check_output_dir(path)
    assert problem is not None
    assert problem.field == "output_dir"


@pytest.mark.parametrize(
    "path", ["saves/m/lora/x", "/data/out", "../out", "~/out", "a, b", "微调/一"]
)
def test_output_dir_taken(path: str) -> None:
    """Whoever has a command line may write where they like."""
    assert check_output_dir(path) is None
