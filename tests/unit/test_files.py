"""Files of arguments, as people and vandals write them (A-01): values or problems, no crash."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.contract.arguments import arguments
from backend.contract.system import files
from backend.contract.texts.problems import Problem

VALID = """\
model_name_or_path: saves/models/SmolLM2-135M-Instruct
stage: sft
dataset: [identity, alpaca_en]
learning_rate: 1.0e-4
num_train_epochs: 3.0
lora_rank: 16
bf16: true
default_system: "你好 \\"quoted\\""
report_to: none
"""


def read(tmp_path: Path, content: str | bytes, name: str = "run.yaml") -> list[Problem]:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    values, problems = arguments.from_yaml(str(file), "train")
    assert set(values) == set(arguments.defaults("train"))
    return problems


def test_a_good_file_has_no_problem(tmp_path: Path) -> None:
    assert read(tmp_path, VALID) == []
    assert read(tmp_path, "") == []
    assert read(tmp_path, "# only a comment\n") == []
    assert read(tmp_path, b"\xef\xbb\xbf" + VALID.encode()) == []
    assert read(tmp_path, VALID.replace("\n", "\r\n")) == []


BOMB = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("stage: sft\nlearning_rat: 1\n", "unknown_argument_near", "run.yaml:2: learning_rat "),
        ("\n\nlora_rank: many\n", "not_int", "run.yaml:3: lora_rank"),
        ("stage: sft\n\tlora_rank: 8\n", "bad_yaml", "line 2"),
        ("lora_rank: 8\nx: [\n", "bad_yaml", "line 3"),
        ("lora_rank: 8\nstage: sft\nlora_rank: 9\n", "yaml_duplicate", "line 3: lora_rank"),
        (BOMB, "yaml_alias", "line 2"),
        ("a: &a [*a]\n", "yaml_alias", "line 1"),
        ("[" * 60 + "]" * 60, "yaml_nesting", "line 1"),
        ("a: " + "[" * 5000, "yaml_nesting", "line 1"),
        ("x: !!bool maybe\n", "yaml_tag", "line 1"),
        ("x: !!timestamp soon\n", "yaml_tag", "line 1"),
        ("x: !!int ''\n", "yaml_tag", "line 1"),
        ("- a\n- b\n", "not_mapping", "run.yaml"),
        ("1: 2\n", "not_mapping", "run.yaml"),
        ("on: 2\n", "not_mapping", "run.yaml"),
        ("? [a, b]\n: 2\n", "bad_yaml", "line 1"),
        ("just text", "not_mapping", "run.yaml"),
        ("a: 1\n---\nb: 2\n", "bad_yaml", "line"),
        ('a: "\\UFFFFFFFF"\n', "bad_yaml", "run.yaml"),
        ("a: 0b_\n", "bad_yaml", "run.yaml"),
        ("a: 2026-99-99\n", "bad_yaml", "run.yaml"),
        ("a: " + "9" * 5000 + "\n", "bad_yaml", "run.yaml"),
        ("lora_rank: 0x" + "f" * 5000 + "\n", "out_of_range", "lora_rank"),
        ("dataset: 0x" + "f" * 5000 + "\n", "not_text", "dataset"),
        ("bf16: 2026-01-01\n", "not_bool", "bf16"),
        ("learning_rate: .nan\n", "not_finite", "learning_rate"),
        ("learning_rate:\n", "value_missing", "learning_rate"),
        ("ray_num_workers: 2\n", "instead_ray", "run.yaml:1: ray_num_workers"),
        (b"a: \xff\n", "file_not_utf8", "byte 3"),
        (b"a: \x00\n", "bad_yaml", "run.yaml"),
        ("#" * (2 * 1024 * 1024), "file_too_large", "262144"),
    ],
)
def test_bad_yaml_is_told_with_its_line(
    tmp_path: Path, content: str | bytes, code: str, said: str
) -> None:
    problems = read(tmp_path, content)
    assert code in [problem.code for problem in problems]
    assert said in "\n".join(problem.text() for problem in problems)
    assert all(problem.text("zh") for problem in problems)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['touch CANARY']", "!!python/name:os.system", "!x y"]
)
def test_a_tag_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert [problem.code for problem in read(tmp_path, f"dataset: {tag}\n")] == ["yaml_tag"]
    assert not (tmp_path / "CANARY").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("yes", True), ("no", False), ("on", True), ("off", False), ("'1'", True)],
)
def test_words_for_true_and_false(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "a.yaml").write_text(f"fp16: {text}\nlearning_rate: 1e-4\nsave_strategy: no\n")
    values, problems = arguments.from_yaml(str(tmp_path / "a.yaml"), "train")
    assert problems == []
    assert (values["fp16"], values["learning_rate"]) == (expected, 1e-4)
    assert values["save_strategy"] == "no"


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """Tabs and escaped pairs are good JSON and bad YAML."""
    assert (
        read(tmp_path, '{\n\t"default_system": "\\ud83d\\ude00",\n\t"lora_rank": 8\n}', "a.json")
        == []
    )


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ('{\n"lora_rank": 8,\n}', "bad_yaml", "line"),
        ('{"lora_rank": 8, "lora_rank": 9}', "bad_yaml", "duplicate key 'lora_rank'"),
        ("[1]", "not_mapping", "a.json"),
        ('{"learning_rate": NaN}', "not_finite", "learning_rate"),
        ("[" * 100_000, "bad_yaml", "a.json"),
        ('{"lora_rank": ' + "9" * 5000 + "}", "bad_yaml", "a.json"),
        ('{"default_system": "\\ud83d"}', "bad_character", "default_system"),
    ],
)
def test_bad_json_is_told(tmp_path: Path, content: str, code: str, said: str) -> None:
    problems = read(tmp_path, content, "a.json")
    assert [problem.code for problem in problems] == [code]
    assert said in problems[0].text()


@pytest.mark.parametrize("path", ["gone.yaml", ".", "a\0b.yaml", "x" * 5000 + ".yaml"])
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content, problems = files.read_mapping(path)
    assert (content, [problem.code for problem in problems]) == ({}, ["file_unreadable"])
    assert problems[0].text()


def test_a_file_of_something_else_is_told_soon(tmp_path: Path) -> None:
    """A suggestion for each of 20,000 unknown names took a minute."""
    began = time.process_time()
    problems = read(tmp_path, "".join(f"learn{number}: 1\n" for number in range(18_000)))
    assert len(problems) == arguments.MAX_PROBLEMS
    assert time.process_time() - began < 10


PIECES = [b"\t", b"*a", b"&a ", b"!!", b"{", b"[", b"]", b"'", b'"', b": ", b"\n", b"\x00", b"|"]
PIECES += [b"\xff", b"%", b"- ", b"? ", b"<<", b"9" * 400, b"---\n", b"\\U", b"\xc2\xbd", b": 0x_"]


def mutated(rng: random.Random) -> bytes:
    """A valid file with one to five bytes or pieces replaced, removed, doubled or put in."""
    content = bytearray(VALID.encode())
    for _ in range(rng.randint(1, 5)):
        start = rng.randrange(len(content))
        end = min(len(content), start + rng.randint(0, 6))
        content[start:end] = rng.choice([b"", rng.randbytes(2), *PIECES, content[start:end] * 2])
    return bytes(content)


@pytest.mark.parametrize("seed", range(5))
def test_a_mutated_file_is_values_or_problems(tmp_path: Path, seed: int) -> None:
    """500 mutations; anything but a list of problems would raise here."""
    rng = random.Random(seed)
    outcomes = [bool(read(tmp_path, mutated(rng))) for _ in range(100)]
    assert len(outcomes) == 100
    assert any(outcomes)


def test_atomic_writes_replace_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.json"
    files.write_atomic(file, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_torn_json_file_reads_as_empty(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a.json"
    if content is not None:
        file.write_bytes(content)
    assert files.read_json(file) == {}


def test_the_contract_loads_nothing_heavy() -> None:
    code = (
        "import sys, backend.contract.arguments.command, backend.contract.reference\n"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'gradio', 'numpy'}\n"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\u2029", "\r", "\ufeff", "\x7f", "\t", "\n"])
def test_every_line_end_survives_the_way_through_yaml(mark: str) -> None:
    """NEL in a plain YAML text is folded to a space: a generated path lost it on the way."""
    values = {"path": f"0{mark}0"}
    assert files.parse_mapping(files.write_mapping(values).encode(), "x.yaml") == (values, [])
