"""`data register` does not call a set good that it cannot read."""

import gzip
import json
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from backend.__main__ import main
from backend.contract.texts.problems import DataError
from backend.datafiles import samples

GOOD = {"instruction": "q", "output": "a"}
TURNS = [{"role": "user", "content": "<image>q"}, {"role": "assistant", "content": "a"}]
MEDIA = {"messages": TURNS, "images": ["1.jpg"]}
GUESS = "this layout is a guess (30% sure)"
BY_NAME = ["--column", "prompt=xx", "--column", "response=yy"]
BLANK, NULL = ({**GOOD, "output": output} for output in (" ", None))
TEXT = ["--column", "prompt=instruction", "--column", "response=output"]
PAIR = {"prompt": "q", "chosen": "a", "rejected": "b"}


def lines(*rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows)


CASES: list[tuple[str, str, list[str], int, str]] = [
    ("x.jsonl", lines(GOOD), [], 0, ""),
    ("x.jsonl", '{"question": "6 * 7?", "answer": 42}', [], 0, ""),
    ("x.csv", "xx;yy\nfoo bar;baz quux\n", [], 3, GUESS),
    ("x.csv", "xx;yy\nfoo bar;baz quux\n", BY_NAME, 0, ""),
    ("x.csv", "xx;yy\nfoo bar;baz quux\n", ["--anyway"], 0, ""),
    ("x.jsonl", '{"k": 1, "zz": "some words", "m": 2}', [], 3, "a guess (40% sure)"),
    ("x.jsonl", lines(BLANK, GOOD), [], 3, "an answer in them is empty"),
    ("x.jsonl", lines(BLANK, GOOD), TEXT, 3, "an answer in them is empty"),
    ("x.jsonl", lines(BLANK, GOOD), ["--anyway"], 0, ""),
    ("x.jsonl", lines(NULL, GOOD), [], 3, "the row has no answer"),
    ("x.jsonl", lines({**GOOD, "output": ["a"]}, GOOD), [], 3, "something else"),
    ("x.jsonl", lines(MEDIA), [], 3, "pictures, videos or sounds"),
    ("x.jsonl", lines({**GOOD, "image": "1.png"}), [], 3, "pictures, videos or sounds"),
    ("x.jsonl", lines({**GOOD, "images": []}), [], 0, ""),
    ("x.jsonl", lines({"messages": TURNS}), [], 3, "placeholder for a picture"),
    ("x.jsonl", lines({"image_path": "1.jpg", "caption": "a dog"}), [], 3, "pictures, videos"),
    ("x.csv", "image_url,text\nhttps://x.org/1,a dog\n", [], 3, "pictures, videos or sounds"),
    ("x.jsonl", lines({**PAIR, "rejected": "a"}, PAIR), [], 3, "are the same"),
    ("x.jsonl", '{"n": 1, "m": 2}', [], 3, "No column holds texts"),
]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty registry in a working folder of its own."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    path = tmp_path / "data" / "dataset_info.json"
    path.parent.mkdir()
    path.write_text("{}")
    return path


def test_a_set_is_registered_only_where_its_first_row_is_learned(
    tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content, words, code, reason in CASES:
        for as_json in ([], ["--json"]):
            registry.write_text("{}")
            (tmp_path / name).write_text(content)
            assert main(["data", "register", str(tmp_path / name), *words, *as_json]) == code, (
                content
            )
            printed = capsys.readouterr()
            assert reason in printed.err
            assert bool(printed.err) == bool(code)
            assert (list(json.loads(registry.read_text())) == ["x"]) == (code == 0)
            if as_json and printed.out:
                row: dict[str, Any] = json.loads(printed.out)
                assert row["registered"] == (code == 0)
    assert len(CASES) == 19


ROW = b'{"instruction": "q", "output": "a"}\n'
OPEN = '"'
PACKED = gzip.compress(b"".join(b'{"instruction": "%d", "output": "a"}\n' % n for n in range(9000)))
UNREADABLE: list[tuple[str, bytes, str]] = [
    ("x.csv", f"q,a\nx,y\nz,{OPEN}w\nu,v\n".encode(), "csv_broken:3"),
    ("x.csv", b"q,a\nx,y\nz\nu,v\n", "csv_cells:3"),
    ("x.tsv", f"q\ta\nx\ty\nz\t{OPEN}w\nu\tv\n".encode(), "csv_broken:3"),
    ("x.csv", b"q,a\nx,y\nx,\xff\n", "data_not_utf8:"),
    ("x.jsonl", ROW + ROW + b"{" + ROW, "data_bad_json:3"),
    ("x.jsonl", ROW + ROW + b"[1]\n", "row_no_object:3"),
    ("x.jsonl", ROW + ROW + ROW.replace(b'"a"', b"NaN"), "data_nan:3"),
    ("x.jsonl", ROW + ROW + ROW.replace(b"output", b"instruction"), "data_duplicate_key:3"),
    ("x.jsonl", ROW + ROW + b"\xff\n", "data_not_utf8:"),
    ("x.json", b"[" + ROW + b"," + ROW + b",{}", "data_truncated:"),
    ("x.json", b"[" + ROW + b"," + ROW + b"\n oops]", "data_bad_json:"),
    ("x.jsonl.gz", PACKED[:-2000], "file_compressed_broken:"),
    ("x.jsonl", ROW * 150 + b"{\n", "data_bad_json:151"),
]


def test_a_file_that_breaks_further_on_is_not_registered(
    tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quote that is opened in line 3 and never closed took the rest of the file with exit 0."""
    for name, content, wanted in UNREADABLE:
        path = tmp_path / name
        path.write_bytes(content)
        code, line = wanted.split(":")
        columns = ["--column", "prompt=q", "--column", "response=a"]
        for words in ([], columns if name[2:] in {"csv", "tsv"} else ["--formatting", "alpaca"]):
            assert main(["data", "register", str(path), *words]) == 3, wanted
            shown = capsys.readouterr().err
            assert str(path) in shown
            assert f"line {line}" in shown or not line, shown
            assert json.loads(registry.read_text()) == {}
        with pytest.raises(DataError) as caught:
            samples.require_readable(path)
        (problem,) = caught.value.problems
        assert (problem.code, str(problem.params.get("line", ""))) == (code, line or ANY), wanted
        assert main(["data", "check", str(path)]) == 3
        assert str(path) in capsys.readouterr().out
    assert len(UNREADABLE) == 13
    path.write_bytes(ROW * 150)
    assert main(["data", "register", str(path)]) == 0


VISION_YAML = """\
model_name_or_path: ./models/gone
image_max_pixels: 262144
video_max_pixels: 16384
stage: sft
dataset: {dataset}
template: qwen3_vl_nothink
"""
PICTURES = {"file_name": "p.json", "formatting": "sharegpt"}
PICTURES["columns"] = {"messages": "messages", "images": "images"}


def test_pictures_are_told_first_and_all_in_one_go(
    tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """LLaMA-Factory's qwen3vl_lora_sft.yaml and mllm_demo took five rounds of argument errors."""
    registry.write_text(json.dumps({"mllm_demo": PICTURES}))
    (tmp_path / "data" / "p.json").write_text(json.dumps([MEDIA, MEDIA]))
    (tmp_path / "parts.jsonl").write_text(
        lines({"messages": [{**TURNS[0], "content": [{"type": "image"}]}, TURNS[1]]})
    )
    (tmp_path / "some.jsonl").write_text(lines(GOOD, {**GOOD, "images": ["1.jpg"]}))
    for dataset, first in (
        ("mllm_demo", "has pictures, videos or sounds (its entry"),
        ("data/p.json", "has rows with pictures, videos or sounds: 2 of the first 2"),
        ("parts.jsonl", "has rows with pictures, videos or sounds: 1 of the first 1"),
    ):
        (tmp_path / "x.yaml").write_text(VISION_YAML.format(dataset=dataset))
        assert main(["train", str(tmp_path / "x.yaml")]) == 2
        notices = capsys.readouterr().err.splitlines()
        assert notices[0].startswith(f"error: The data set {dataset} {first}"), dataset
        assert any("models/gone" in line for line in notices[1:])
        assert not any("max_pixels" in line for line in notices)  # a notice, where a run begins
    (tmp_path / "x.yaml").write_text(VISION_YAML.format(dataset="some.jsonl"))
    assert main(["train", str(tmp_path / "x.yaml")]) == 2
    notices = capsys.readouterr().err.splitlines()  # before what is wrong with the arguments
    assert "1 of the first 2" in notices[0]
    assert notices[0].startswith("note: ")
    assert any(line.startswith("error: ") and "models/gone" in line for line in notices[1:])


def test_a_set_with_pictures_can_be_looked_at(
    tmp_path: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.write_text(json.dumps({"mllm_demo": PICTURES}))
    (tmp_path / "data" / "p.json").write_text(json.dumps([MEDIA, {**MEDIA, "images": []}]))
    assert main(["data", "preview", "mllm_demo"]) == 0
    assert "1.jpg" in capsys.readouterr().out
    assert main(["data", "check", "mllm_demo", "--json"]) == 3
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [(each["code"], each["rows"]) for each in findings] == [
        ("row_media", [1]),
        ("row_placeholder", [2]),
    ]
