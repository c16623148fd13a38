"""A file is copied into data/ once, under its content's hash, or not at all."""

import errno
import gzip
import hashlib
import json
import os
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zstandard

from app.services.data import datasets, upload_folder, uploads
from backend.contract.folders.home import data
from backend.contract.registry import dataset_info
from backend.contract.texts.problems import DataError, DiskFullError, UsageError
from backend.contract.texts.terminal_text import binary_size
from backend.datafiles import reading

ROWS = b'{"q": "a", "a": "b"}\n' * 3


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    monkeypatch.delenv("TUNEBOARD_MAX_UPLOAD", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path


def source(home: Path, name: str = "x.jsonl", content: bytes = ROWS) -> Path:
    path = home / "elsewhere" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def refused(path: Path, name: str = "mine", **options: Any) -> str:
    """The code of the refusal, which leaves nothing."""
    with pytest.raises(DataError) as caught:
        uploads.take(path, name, **options)
    assert list(data().rglob("*")) == []
    assert all(one.text("zh") for one in caught.value.problems)
    return caught.value.problems[0].code


def test_a_file_is_copied_under_its_hash(home: Path) -> None:
    shares: list[float] = []
    taken = uploads.take(source(home), "mine", progress=shares.append)
    digest = hashlib.sha256(ROWS).hexdigest()
    assert taken == uploads.StoredFile(
        home / "data" / "mine" / f"mine-{digest[:12]}.jsonl", digest, len(ROWS), new=True
    )
    assert taken.path.read_bytes() == ROWS
    assert shares == [1.0]
    assert list((home / "data" / "mine").iterdir()) == [taken.path]
    assert source(home).exists()


def test_the_same_again_is_the_same_file_and_other_content_stands_beside_it(home: Path) -> None:
    """D-08: what a run reads is never overwritten."""
    first = uploads.take(source(home), "mine")
    stat = first.path.stat()
    again = uploads.take(source(home), "mine")
    assert (again.path, again.new) == (first.path, False)
    assert again.path.stat() == stat
    other = uploads.take(source(home, content=ROWS * 2), "mine")
    assert other.path != first.path
    assert first.path.read_bytes() == ROWS


def test_twenty_at_once_end_in_one_file(home: Path) -> None:
    path = source(home)
    with ThreadPoolExecutor(20) as pool:
        taken = list(pool.map(lambda _: uploads.take(path, "mine"), range(20)))
    assert len({one.path for one in taken}) == 1
    assert len(list((home / "data" / "mine").iterdir())) == 1


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_packed_files_are_unpacked(home: Path, packing: str) -> None:
    pack = gzip.compress if packing == ".gz" else zstandard.ZstdCompressor().compress
    shares: list[float] = []
    path = source(home, f"x.csv{packing}", pack(b"q,a\n1,2\n"))
    taken = uploads.take(path, "mine", progress=shares.append)
    assert taken.path.suffix == ".csv"
    assert taken.path.read_bytes() == b"q,a\n1,2\n"
    assert all(0 <= share <= 1 for share in shares)


def test_a_folder_is_copied_whole(home: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        source(home, name)
    (home / "elsewhere" / "notes.md").write_text("not data")
    taken = uploads.take(home / "elsewhere", "mine")
    assert sorted(each.name for each in taken.path.iterdir()) == ["a.jsonl", "b.jsonl"]
    assert len(list(reading.rows(taken.path))) == 6
    assert not uploads.take(home / "elsewhere", "mine").new


@pytest.mark.parametrize("name", ["../x", "a/b", "", "CON", "a\u202eb"])
def test_bad_names(home: Path, name: str) -> None:
    assert refused(source(home), name).startswith("name_")


def test_a_twin_s_folder_is_not_used(home: Path) -> None:
    uploads.take(source(home), "mine")
    with pytest.raises(DataError, match="differs from"):
        uploads.take(source(home), "MINE")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.jsonl", b"\x89PNG\r\n\x1a\n\0", "file_foreign"),
        ("x.csv", b"PK\x03\x04 an xlsx", "file_foreign"),
        ("x.json", b"<html>", "file_foreign"),
        ("x.txt", "x".encode("utf-16"), "file_other_encoding"),
        ("x.parquet", b"PAR1 not", "parquet_broken"),
        ("x.arrow", b"ARROW1 not", "arrow_broken"),
        ("x.jsonl.gz", b"not packed", "file_compressed_broken"),
        ("x.jsonl.gz", gzip.compress(ROWS, mtime=0)[:-9], "file_compressed_broken"),
        ("x.jsonl.zst", zstandard.ZstdCompressor().compress(ROWS)[:-5], "file_compressed_broken"),
        ("x.zip", b"PK\x03\x04", "file_archive"),
        ("x.tar.gz", b"\x1f\x8b", "file_archive"),
        ("x.docx", b"x", "file_type"),
        ("x.py", b"x", "file_type"),
    ],
)
def test_what_is_no_data_is_refused_and_leaves_nothing(
    home: Path, name: str, content: bytes, code: str
) -> None:
    assert refused(source(home, name, content)) == code


def test_the_limit_counts_unpacked_bytes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_MAX_UPLOAD", str(50 / 1024**3))
    assert refused(source(home)) == "upload_too_large"
    assert refused(source(home, "y.jsonl.gz", gzip.compress(ROWS, mtime=0))) == "upload_too_large"
    uploads.take(source(home, content=b"{}"), "mine")


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TUNEBOARD_MAX_UPLOAD", value)
    with pytest.raises(UsageError, match="TUNEBOARD_MAX_UPLOAD"):
        uploads.take(source(home), "mine")


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_bombs_stop_before_they_fill_the_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    """S-35: the ratio ends it, long before the limit of 10 GB."""
    monkeypatch.setattr("backend.datafiles.refusals.HONEST", 1024**2)
    raw = bytes(20 * 1024**2)
    bomb = (
        gzip.compress(raw, mtime=0) if packing == "gz" else zstandard.ZstdCompressor().compress(raw)
    )
    assert refused(source(home, f"x.jsonl.{packing}", bomb)) == "file_explodes"


def test_parquet_that_explodes_or_is_pickled_is_refused(home: Path) -> None:
    """S-32, S-35: a million times one value in two kilobytes; a pickled Python type."""
    import pyarrow
    import pyarrow.parquet

    path = source(home, "x.parquet", b"")
    pyarrow.parquet.write_table(pyarrow.table({"a": pyarrow.array([1]).take([0] * 10**6)}), path)
    assert refused(path) == "file_explodes"
    mark = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    schema = pyarrow.schema([pyarrow.field("a", pyarrow.binary(), metadata=mark)])
    table = pyarrow.table([[b"x"]], schema=schema)
    pyarrow.parquet.write_table(table, path)
    assert refused(path) == "file_pickled"
    with pytest.raises(DataError, match="pickled"):
        reading.page(path, 0, 1)
    arrow = source(home, "x.arrow", b"")
    for new in (pyarrow.ipc.new_file, pyarrow.ipc.new_stream):
        with new(str(arrow), schema) as writer:
            writer.write_table(table)
        assert refused(arrow) == "file_pickled"


def test_a_folder_with_only_a_loading_script_is_refused(home: Path) -> None:
    """S-31: its code is never run."""
    source(home, "evil.py", b"open('canary', 'w')")
    assert refused(home / "elsewhere") == "folder_with_script"
    assert not list(home.rglob("canary"))


def test_pipes_devices_and_links_are_refused_without_a_hang(home: Path) -> None:
    """F-10, F-04. Whoever opened the pipe would wait for a writer that never comes."""
    fifo = home / "x.jsonl"
    os.mkfifo(fifo)
    assert refused(fifo) == "file_not_regular"
    for target in ("/dev/zero", "/proc/kmsg", "/proc/self/environ", str(fifo)):
        link = home / "l.jsonl"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        assert refused(link) == "file_not_regular"
        with pytest.raises(DataError):
            reading.page(link, 0, 1)
    link.unlink()
    link.symlink_to(source(home))
    assert refused(link) == "file_link"


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(home / "uploads"))
    opened = upload_folder.open_folder()
    yield opened.path
    opened.close()


def test_an_upload_is_gone_from_the_inbox_when_it_is_taken(box: Path) -> None:
    (box / "hash").mkdir()
    path = box / "hash" / "x.jsonl"
    path.write_bytes(ROWS)
    uploads.take(path, "mine", inside=box)
    assert list(box.iterdir()) == []


def test_only_what_lies_in_the_inbox_is_an_upload(box: Path, home: Path) -> None:
    """F-04: a path from the browser reaches nothing else, by name or by link."""
    secret = source(home)
    assert refused(secret, inside=box) == "data_file_missing"
    assert refused(box / ".." / ".." / "elsewhere" / "x.jsonl", inside=box) == "data_file_missing"
    (box / "x.jsonl").symlink_to(secret)
    assert refused(box / "x.jsonl", inside=box) == "data_file_missing"
    assert secret.exists()


def test_a_link_swapped_in_between_is_not_followed(box: Path, home: Path) -> None:
    """F-04: the check sees a file, the copy must not read the link that took its place."""
    secret = source(home, "x.jsonl", b'{"secret": 1}\n')
    path, stop = box / "x.jsonl", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for make in (lambda part: part.write_bytes(ROWS), lambda part: part.symlink_to(secret)):
                part = box / "part"
                part.unlink(missing_ok=True)
                make(part)
                part.replace(path)

    path.write_bytes(ROWS)
    thread = threading.Thread(target=swap)
    thread.start()
    copied = []
    try:
        for _ in range(300):
            try:
                copied.append(uploads.take(path, "mine", inside=box).path.read_bytes())
            except DataError:
                continue
    finally:
        stop.set()
        thread.join()
    assert set(copied) <= {ROWS}


def test_a_full_disk_is_named_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.services.data.uploads.os.fsync", full)
    with pytest.raises(DiskFullError):
        uploads.take(source(home), "mine")
    assert list((home / "data").iterdir()) == []
    monkeypatch.setattr("app.services.data.uploads.shutil.disk_usage", lambda _: _Full)
    with pytest.raises(DiskFullError):
        uploads.take(source(home), "mine")


class _Full:
    free = 5


def test_what_an_aborted_copy_left_is_swept_and_a_living_one_is_not(home: Path) -> None:
    old = home / "data" / "mine" / ".part-dead"
    old.mkdir(parents=True)
    (old / "x.jsonl").write_bytes(ROWS)
    other = home / "data" / "other"
    other.mkdir()
    with uploads._copy_folder(other) as living:
        uploads.sweep()
        assert living.exists()
    assert not (home / "data" / "mine").exists()
    assert not living.exists()


def test_from_an_upload_to_a_registered_set(box: Path, home: Path) -> None:
    path = box / "x.csv"
    path.write_text("q,a\n你好,hello\n")
    coming = datasets.receive(path, "mine", box)
    assert (coming.proposal.kind, coming.columns) == ("sft", ["q", "a"])
    shown = coming.example(coming.proposal.entry, "sft")
    assert shown.text() == "user: 你好\nassistant: hello"
    datasets.register("mine", coming, coming.proposal.entry, "data")
    entry = dataset_info.find("mine", "data")
    assert entry.path == coming.path
    row = json.loads((home / "data" / "dataset_info.json").read_text())["mine"]
    assert row["file_name"].startswith("mine/mine-")
    with pytest.raises(DataError, match="zz"):
        datasets.register("no", coming, {"columns": {"prompt": "zz", "response": "a"}}, "data")


def test_a_check_runs_in_a_child_and_can_be_ended(home: Path) -> None:
    (home / "data" / "x.jsonl").write_bytes(ROWS + b"{\n")
    told = list(datasets.check_rows("data/x.jsonl", "data", "sft"))
    report = told.pop()
    assert isinstance(report, dict)
    assert told[-1] == 1.0
    assert (report["rows"], report["good"]) == (4, False)
    with pytest.raises(DataError, match="No data set is registered"):
        list(datasets.check_rows("nowhere", "data", "sft"))
    going = datasets.check_rows("data/x.jsonl", "data", "sft")
    next(going)
    assert isinstance(going, Generator)
    going.close()


def test_a_hub_that_does_not_answer_is_named_in_any_language(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child's problem itself arrives, not its words."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError) as caught:
        datasets.register_hub("mine", "org/set", "huggingface", "data")
    assert [one.code for one in caught.value.problems] == ["dataset_hub_unreachable"]
    assert "org/set" in caught.value.problems[0].text("zh")
    assert "mine" not in (home / "data" / "dataset_info.json").read_text()


def test_a_limit_is_said_as_people_set_it() -> None:
    """A packed text may unpack to 1 TB; the refusal said 1048576 MB."""
    sizes = {1024**4: "1 TB", 10 * 1024**3: "10 GB", 3 * 512 * 1024**2: "1.5 GB", 512: "512 B"}
    assert {size: binary_size(size) for size in sizes} == sizes
