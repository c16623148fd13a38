"""Pictures, sound and video in a row: it is refused with its line, and a tag in a text is text."""

import json
from pathlib import Path
from typing import Any

from backend.contract.registry.dataset_info import Entry
from backend.datafiles.check import Checking, check
from tests.unit.test_values import MESSAGES, pa, write_table

MEDIA: list[tuple[dict[str, Any], bool]] = [
    ({"images": ["1.jpg"]}, True),
    ({"images": []}, False),
    ({"images": None}, False),
    ({"images": [None]}, False),
    ({"image": {"bytes": b"\x89PNG", "path": "1.png"}}, True),
    ({"image": {"bytes": None, "path": None}}, False),
    ({"videos": [["1.jpg", "2.jpg"]]}, True),
    ({"audios": "1.wav"}, True),
    ({"audio": {"path": "1.wav", "sampling_rate": 8}}, True),
    ({"video": ""}, False),
]


def test_a_row_with_pictures_is_refused_with_its_line(tmp_path: Path) -> None:
    layouts: list[tuple[str, dict[str, Any]]] = [
        ("sft", {"instruction": "q", "output": "a"}),
        ("sft", {"messages": [MESSAGES[0], {"role": "assistant", "content": "a"}]}),
        ("dpo", {"prompt": "q", "chosen": "a", "rejected": "b"}),
        ("kto", {"prompt": "q", "completion": "a", "label": True}),
        ("ppo", {"prompt": "q"}),
        ("pt", {"text": "t"}),
    ]
    seen = 0
    for stage, row in layouts:
        for media, refused in MEDIA:
            path = tmp_path / "x.arrow"
            full = pa.table({key: [value] for key, value in {**row, **media}.items()})
            write_table(path, full)
            report = check(Entry(name="x", path=path), Checking(stage))
            lines = {finding.problem.code: finding.lines for finding in report.findings.values()}
            assert (lines.get("row_media") == [1]) == refused, (stage, media)
            assert report.usable == (not refused)
            seen += 1
    assert seen == 60


PNG, WAV = b"\x89PNG\r\n\x1a\n\x00", b"RIFF\xff\x00\x00\x00WAVE"
# Columns that hold media by their name and value, by their value alone, and others.
NAMED: list[tuple[str, Any, bool]] = [
    ("image_path", "a/1.jpg", True),
    ("img", "1.PNG", True),
    ("image_url", "https://example.org/pic?id=7", True),
    ("imageUrl", "//x/1.webp?w=3", True),
    ("picture", ["1.jpeg", "2.jpeg"], True),
    ("pics", [{"path": "1.gif"}], True),
    ("audio_path", "speech/1.flac", True),
    ("audio_filepath", "/data/1.wav", True),
    ("wav", "1.wav", True),
    ("video_file", "clip.mp4", True),
    ("图片", "1.jpg", True),
    ("image_base64", "iVBORw0KGgoAAAANSUhEUg", True),
    ("img", "data:image/png;base64,iVBO", True),
    ("jpg", PNG, True),
    ("sample", {"bytes": WAV, "path": None}, True),
    ("image_caption", "A dog on a lawn.", False),
    ("imagery", "poetic", False),
    ("has_audio", True, False),
    ("image_id", 17, False),
    ("image_path", "", False),
    ("img", [], False),
    ("url", "https://example.org/1.jpg", False),
    ("file", "1.jpg", False),
    ("topic", "video.", False),
    ("picked", "1.jpg", False),
]


def test_columns_that_hold_media_by_their_values(tmp_path: Path) -> None:
    """Such a row was called good, and learned as if nothing but its text were there."""
    for name, value, refused in NAMED:
        row = {"question": "q", "answer": "a", name: value}
        path = write_table(tmp_path / "x.parquet", pa.table({key: [row[key]] for key in row}))
        columns = {"prompt": "question", "response": "answer"}
        for entry in (Entry(name="x", path=path), Entry(name="x", path=path, columns=columns)):
            report = check(entry)
            codes = [finding.problem.code for finding in report.findings.values()]
            unread = [] if value in ("", []) else ["columns_unread"]
            wanted = ["row_media", *unread] if refused else unread
            assert codes == wanted, (name, value)
            assert report.usable == (not refused)
    assert len(NAMED) == 25


def test_media_of_a_message(tmp_path: Path) -> None:
    """Ollama's and ms-swift's rows have them beside the content."""
    for more in ({"images": ["1.jpg"]}, {"image_url": "https://x/1.png"}, {"audio": "1.wav"}):
        row = {"messages": [{**MESSAGES[0], **more}, {"role": "assistant", "content": "a"}]}
        (tmp_path / "x.jsonl").write_text(json.dumps(row))
        (finding,) = check(Entry(name="x", path=tmp_path / "x.jsonl")).findings.values()
        assert finding.problem.code == "row_media"


# A user's turn, what it holds in a set without columns of pictures, and in one with such.
PLACE, TAG = "row_placeholder", "row_tag_as_text"
TURNS: list[tuple[str, str, str]] = [
    # LLaMA-Factory's data/mllm_demo.json, LLaVA's sets
    ("<image>Who are they?", PLACE, PLACE),
    ("<image>\nWhat is this?", PLACE, PLACE),
    ("What is this?\n<image>", PLACE, PLACE),
    ("What is this?\n <image> <image> \nAnd these?", PLACE, PLACE),
    ("<video>Why is this funny?", PLACE, PLACE),
    ("<audio>What is said?", PLACE, PLACE),
    ("<image>Write this page as HTML.", PLACE, PLACE),
    ("<image>\nMake a <div class='x'> of it", PLACE, PLACE),
    ("Compare <image> and <image>.", TAG, PLACE),
    ("Write it as HTML: <image>", TAG, PLACE),
    # the cards of Qwen-VL, Qwen2-VL, Qwen2-Audio, Phi-3-vision and Llama 3.2
    ("Picture 1: <img>a.jpg</img>\nWhat?", PLACE, PLACE),
    ("See <img>https://x.org/a?b=1</img>", PLACE, PLACE),
    ("Audio 1: <audio>a.wav</audio> what?", PLACE, PLACE),
    ("<|vision_start|><|image_pad|><|vision_end|>What?", PLACE, PLACE),
    ("Picture 1: <|vision_start|><|image_pad|><|vision_end|>What?", PLACE, PLACE),
    ("<|vision_start|><|video_pad|><|vision_end|>", PLACE, PLACE),
    ("Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\nWhat?", PLACE, PLACE),
    ("<|audio_pad|> What?", PLACE, PLACE),
    ("<|image_1|>\nWhat?", PLACE, PLACE),
    ("<|image|>What?", PLACE, PLACE),
    ("What?\n<image_1>\n<image_2>", PLACE, PLACE),
    # what to fill in, and tags of web pages
    ("I typed docker run <image>", TAG, PLACE),
    ("What does the usage line `convert` <image> <out> mean?", TAG, PLACE),
    ("`docker run` <image> fails", TAG, PLACE),
    ("ffprobe <video>", TAG, PLACE),
    ("Write a React component that renders <video>", TAG, PLACE),
    ("In HTML, how do <audio> and <video> differ?", TAG, TAG),
    ("<svg width='3'> with an <image> in it", TAG, TAG),
    ("Why is <|image_pad|> no word?", TAG, PLACE),
    ("How does `<image>` work?", "", ""),
    ("```html\n<video>\n<p>x</p>\n```\nIs this right?", "", ""),
    ("What does the <video> tag do?", "", ""),
    ("What is the token <|image_pad|>?", "", ""),
    ("Explain the tag <audio>.", "", ""),
    ("<video><source src='a.mp4'></video>", "", ""),
    ("解释 <video> 标签", "", ""),
    ("<img src='1.png'>", "", ""),
    ("<img>no file</img>", "", ""),
    ("an image", "", ""),
]


def test_places_of_pictures_are_refused_and_tags_are_text(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "A <video> it is.\n<image>"}
    for text, *codes in TURNS:
        rows: list[tuple[str, dict[str, Any]]] = [
            ("sft", {"instruction": text, "input": "", "output": "a"}),
            ("sft", {"messages": [{"role": "user", "content": text}, answer]}),
            ("dpo", {"prompt": text, "chosen": "a", "rejected": "b"}),
            ("ppo", {"prompt": text}),
        ]
        for stage, row in rows:
            for code, more in zip(codes, ({}, {"images": []}), strict=True):
                (tmp_path / "x.jsonl").write_text(json.dumps({**row, **more}))
                report = check(Entry(name="x", path=tmp_path / "x.jsonl"), Checking(stage))
                reported = [finding.problem.code for finding in report.findings.values()]
                assert reported == ([code] if code else []), (stage, text, more)
                assert report.usable == (code != PLACE)
    assert len(TURNS) == 39


def test_media_under_another_name_and_a_text_under_such_a_name(tmp_path: Path) -> None:
    row = {"q": "x", "a": "y", "shots": ["1.jpg"]}
    columns = {"prompt": "q", "response": "a"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    for more, code in (({}, "columns_unread"), ({"images": "shots"}, "row_media")):
        entry = Entry(name="x", path=tmp_path / "x.jsonl", columns={**columns, **more})
        assert [finding.problem.code for finding in check(entry).findings.values()] == [code]
    (tmp_path / "x.jsonl").write_text(json.dumps({"image": "Describe it", "video": "A film"}))
    entry = Entry(
        name="x", path=tmp_path / "x.jsonl", columns={"prompt": "image", "response": "video"}
    )
    assert check(entry).usable == 1
