"""New sets of a cleaning or a split are whole or not there; the commands and the page make them."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.services.data import cleaning
from backend.__main__ import main
from backend.cleaning import output, steps
from backend.cleaning.rows import Item, Rows
from backend.cleaning.run import Job, clean, split
from backend.cleaning.steps import CleaningOptions
from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import DataError, DiskFullError, TuneboardError, UsageError
from tests.unit.cleaning import (
    ROWS,
    add,
    clean_set,
    everything,
    ids,
    make_registry,
    read_set,
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a registry with the set `s`."""
    return make_registry(tmp_path, monkeypatch)


def test_split_draws_by_seed_and_keeps_order(data: Path) -> None:
    add(data, "s", [{"id": n, "q": f"q{n}", "a": "a"} for n in range(200)])
    split(Job("s"), ("a", "b"), 0.1, 42)
    first, second = ids("a"), ids("b")
    assert (len(first), len(second)) == (180, 20)
    assert sorted(first + second) == list(range(200))
    assert (first, second) == (sorted(first), sorted(second))
    split(Job("s", overwrite=True), ("c", "d"), 0.1, 42)
    assert ids("d") == second
    split(Job("s", overwrite=True), ("c", "d"), 0.1, 43)
    assert ids("d") != second
    report = json.loads((data / "b" / "cleaning_report.json").read_text())
    assert (report["read"], report["kept"], report["asked"]["seed"]) == (200, 20, 42)


def test_split_says_what_stands_in_both(data: Path) -> None:
    add(data, "s", [{"id": n, "q": "same", "a": "a"} for n in range(10)])
    assert split(Job("s"), ("a", "b"), 0.3, 1)[1].shared == 3


def test_a_split_is_both_sets_or_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean_set(exact=True)
    before, real = everything(data), registry.register

    def failing(name: str, *rest: Any, **named: Any) -> Any:
        if name == "b":
            raise DiskFullError
        return real(name, *rest, **named)

    monkeypatch.setattr(registry, "register", failing)
    with pytest.raises(DiskFullError):
        split(Job("s", overwrite=True), ("new", "b"), 0.3, 1)
    assert everything(data) == before


@pytest.mark.parametrize("ratio", [0.01, 0.99])
def test_a_split_with_an_empty_half_is_refused(data: Path, ratio: float) -> None:
    with pytest.raises(DataError) as caught:
        split(Job("s"), ("a", "b"), ratio, 1)
    assert caught.value.problems[0].code == "split_empty"


@pytest.mark.parametrize(
    ("job", "into", "code"),
    [
        (Job("s"), "taken", "dataset_taken"),
        (Job("s", overwrite=True), "s", "clean_in_place"),
        (Job("s"), "TAKEN", "dataset_twin"),
        (Job("nowhere"), "new", "dataset_unknown"),
        (Job("hub"), "new", "clean_on_hub"),
        (Job("gone"), "new", "dataset_file_missing"),
        (Job("s"), "../new", None),
    ],
)
def test_names_are_refused_before_anything_is_read(
    data: Path, job: Job, into: str, code: str | None
) -> None:
    add(data, "taken", ROWS)
    registry.register("hub", {"hf_hub_url": "org/set"}, "data")
    registry.register("gone", {"file_name": "gone.jsonl"}, "data")
    before = everything(data)
    with pytest.raises(DataError) as caught:
        clean(job, into, CleaningOptions(exact=True))
    assert code in {caught.value.problems[0].code, None}
    assert everything(data) == before


def test_an_overwritten_set_s_file_stays_for_runs_that_know_it(data: Path) -> None:
    clean_set(exact=True)
    old = dataset_info.find("new", "data").path
    clean_set(near=0.8)
    assert dataset_info.find("new", "data").path != old
    assert old is not None
    assert old.exists()


def test_nothing_left_is_an_error_and_no_set(data: Path) -> None:
    before = everything(data)
    with pytest.raises(DataError, match="No row of s is left") as caught:
        clean_set(drop=".", exact=True)
    assert "7 removed" in str(caught.value)
    assert everything(data) == before


def test_a_broken_row_ends_it_with_its_line(data: Path) -> None:
    with (data / "s.jsonl").open("a") as file:
        file.write('{"q": \n')
    before = everything(data)
    with pytest.raises(DataError) as caught:
        clean_set(exact=True)
    assert caught.value.problems[0].params["line"] == 8
    assert everything(data) == before


BOMB = "(?:(?:(?:x{1000}){1000}){1000})"  # compiled it would take all memory


@pytest.mark.parametrize("bad", ["(", "a{2", "[", "*", "(" * 20_000, "(?P<n>", "\\", BOMB])
def test_a_bad_expression_is_a_clear_error(data: Path, bad: str) -> None:
    if bad == "a{2":
        assert clean_set(keep="secret", drop=bad)["kept"] == 1, "braces may be meant as they are"
        return
    with pytest.raises(UsageError) as caught:
        clean_set(drop=bad)
    assert caught.value.problems[0].code == "clean_bad_pattern"


@pytest.mark.parametrize("hostile", ["(a+)+$", "(a|a)*$", "(?R)"])
def test_a_catastrophic_expression_ends_in_time(
    data: Path, monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    monkeypatch.setattr(steps, "SECONDS", 0.5)
    add(data, "s", [{"q": "a" * 100_000 + "!", "a": "b"}, {"q": "x", "a": "y"}])
    start = time.process_time()
    with pytest.raises(DataError) as caught:
        clean_set(drop=hostile)
    assert time.process_time() - start < 2.5
    assert caught.value.problems[0].code == "clean_slow_pattern"
    assert caught.value.problems[0].params["line"] == 1
    assert not (data / "new").exists()


def test_a_full_disk_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean_set(exact=True)
    before, real = everything(data), output.Part.write

    def full(part: Any, item: Item) -> None:
        if item.number == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(part, item)

    monkeypatch.setattr(output.Part, "write", full)
    with pytest.raises(DiskFullError):
        clean_set(near=0.8)
    assert everything(data) == before


def test_somebody_else_s_set_of_the_same_name_is_not_replaced(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registered while the cleaning ran: found out when the new set is to be registered."""
    real = output.publish

    def late(*args: Any, **named: Any) -> None:
        registry.register("new", {"file_name": "s.jsonl"}, "data")
        real(*args, **named)

    monkeypatch.setattr(output, "publish", late)
    with pytest.raises(DataError) as caught:
        clean(Job("s"), "new", CleaningOptions(exact=True))
    assert caught.value.problems[0].code == "dataset_taken"
    assert json.loads((data / "dataset_info.json").read_text())["new"] == {"file_name": "s.jsonl"}
    assert not (data / "new").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_cleaning_leaves_no_set(data: Path, number: signal.Signals) -> None:
    """By SIGKILL a hidden folder may stay; the next cleaning of the name removes it."""
    add(data, "s", [{"q": f"question {n} " * 40, "a": "a"} for n in range(20_000)])
    before = everything(data)
    command = [sys.executable, "-m", "backend", "data", "clean", "s", "--into", "new"]
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [*command, "--near", "0.8", "--progress"],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.stderr is not None
    while not child.stderr.readline().split()[:1] > [b"1000"]:
        assert child.poll() is None
    child.send_signal(number)
    assert child.wait(20) != 0
    child.stderr.close()
    left = everything(data)
    if number == signal.SIGKILL:
        assert {name for name in left if "/.new.part/" not in name} == set(before)
        add(data, "s", ROWS)
        clean_set(exact=True)
    else:
        assert left == before
    assert not [each.name for each in data.iterdir() if each.name.endswith(".part")]


def test_commands(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["data", "clean", "s", "--into", "b", "--exact", "--near", "--min_answer", "1"]) == 0
    )
    output = capsys.readouterr().out
    assert "4 of 7 rows of s are kept." in output
    assert "exact duplicates of an earlier row (the first is a duplicate of row 1)" in output
    assert "Registered: b." in output
    assert main(["data", "split", "b", "--ratio", "0.5", "--names", "x,y", "--json"]) == 0
    assert [report["kept"] for report in json.loads(capsys.readouterr().out)] == [2, 2]
    assert main(["data", "clean", "s", "--into", "j", "--tidy", "--json", "--progress"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["kept"] == 7
    assert captured.err.splitlines()[-1] == "7 7"
    assert main(["data", "split", "data/s.jsonl", "--ratio", "0.3"]) == 0
    assert len(read_set("s_train") + read_set("s_test")) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clean", "s", "--into", "b"], "--min_answer"),
        (["clean", "s", "--exact"], "--into"),
        (["clean", "s", "--into", "b", "--near", "1.5"], "at most 1"),
        (["clean", "s", "--into", "b", "--min_answer", "-1"], "below 0"),
        (["clean", "s", "--into", "b", "--max_tokens", "1", "--min_tokens", "2"], "larger"),
        (["clean", "s", "--into", "b", "--exact", "--template", "qwen"], "--template qwen"),
        (["split", "s", "--ratio", "1"], "between 0 and 1"),
        (["split", "s", "--names", "a"], "two names"),
    ],
)
def test_wrong_options_say_what_is_right(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = everything(data)
    assert main(["data", *words]) == 2
    assert message in capsys.readouterr().err
    assert everything(data) == before


def test_half_characters_and_big_numbers_are_kept(data: Path) -> None:
    text = '{"q": "\\ud83d", "a": "y", "n": 123456789012345678901234567890, "f": 1.5e300}\n'
    (data / "s.jsonl").write_text(text)
    clean_set(exact=True)
    assert read_set("new") == [json.loads(text)]


def test_the_stage_is_told_by_entry_or_rows(data: Path) -> None:
    add(data, "plain", [{"text": "words"}], {})
    add(data, "pairs", [{"prompt": "q", "chosen": "a", "rejected": "b"}], {"ranking": True})
    stages = {name: Rows(name, "data").stage for name in ("s", "plain", "pairs")}
    assert stages == {"s": "sft", "plain": "pt", "pairs": "dpo"}


def test_the_page_s_child_tells_progress_and_report(data: Path) -> None:
    add(data, "s", [*ROWS, {"id": 8, "q": "<script>", "a": ""}])
    wish = {"exact": True, "near": 0.8, "min_answer": "1", "tidy": False, "drop": "", "keep": None}
    events = list(cleaning.clean(cleaning.Job("s", "data"), "new", wish))
    assert events[-2] == (8, 8)
    assert ids("new") == [1, 5, 6, 7]
    reports = events[-1]
    assert isinstance(reports, list)
    for lang, text in (("en", "4 of 8 rows of s"), ("zh", "8 行中的 4 行")):
        shown = cleaning.report(reports, lang)
        assert text in shown["lines"][0]
        assert len(shown["items"]) == 3
        assert {json.loads(item["example"])["id"] for item in shown["items"]} == {2, 3, 4}
    *_, halves = cleaning.split(cleaning.Job("new", "data"), ("x", "y"), "0.5", "1")
    assert isinstance(halves, list)
    assert [report["kept"] for report in halves] == [2, 2]


@pytest.mark.parametrize(
    ("value", "code"), [("x", "not_number"), ("nan", "out_of_range"), ("0.7", "out_of_range")]
)
def test_a_share_is_a_number_in_its_range(data: Path, value: str, code: str) -> None:
    """A slider held it; what is typed is judged before a child starts."""
    with pytest.raises(UsageError) as caught:
        list(cleaning.split(cleaning.Job("s", "data"), ("x", "y"), value, "1"))
    assert [problem.code for problem in caught.value.problems] == [code]


def test_the_page_gets_problems_in_its_own_words(data: Path) -> None:
    job = cleaning.Job("s", "data")
    with pytest.raises(TuneboardError) as caught:
        list(cleaning.clean(job, "new", {"drop": "("}))
    assert caught.value.problems[0].code == "clean_bad_pattern"
    assert "正则" in caught.value.problems[0].text("zh")
    with pytest.raises(TuneboardError) as caught:
        list(cleaning.clean(job, "", {"exact": True}))
    with pytest.raises(TuneboardError) as caught:
        list(cleaning.clean(job, "new", {"max_tokens": "5"}))
    assert caught.value.problems[0].code == "model_required"
    with pytest.raises(TuneboardError) as caught:
        list(cleaning.clean(job, "new", {"max_tokens": "five"}))
    assert caught.value.problems[0].code == "not_int"


def test_leaving_the_page_ends_the_child_which_leaves_nothing(data: Path) -> None:
    add(data, "s", [{"q": f"question {n} " * 40, "a": "a"} for n in range(20_000)])
    before = everything(data)
    events = cleaning.clean(cleaning.Job("s", "data"), "new", {"near": 0.8})
    assert isinstance(next(events), tuple)
    events.close()  # type: ignore[attr-defined]
    assert everything(data) == before


def test_each_control_of_the_page_reaches_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def popen(argv: list[str], **_: Any) -> Any:
        seen.append(argv)
        raise OSError

    monkeypatch.setattr("subprocess.Popen", popen)
    wish: dict[str, Any] = {name: f"{at}" for at, name in enumerate(cleaning.STEPS, 1)}
    job = cleaning.Job("s", "folder", overwrite=True)
    with pytest.raises(OSError):  # noqa: PT011 (the stand-in's)
        list(cleaning.clean(job, "new", {**wish, "near": "0.7", "drop": " x"}, "m"))
    with pytest.raises(OSError):  # noqa: PT011
        list(cleaning.split(job, ("a", "b"), "0.2", "7"))
    line = " ".join(seen[0][5:])
    assert line == (
        "clean s --into=new --tidy --exact --near=0.7 --min_answer=4 --min_tokens=5 --max_tokens=6 "
        "--drop= x --keep=8 --not_in=9 --model_name_or_path=m --overwrite --dataset_dir folder "
        "--json --progress"
    )
    words = "split s --names=a,b --ratio=0.2 --seed=7 --overwrite --dataset_dir folder"
    assert " ".join(seen[1][5:]).startswith(words)
    assert not cleaning.has_steps(dict.fromkeys(cleaning.STEPS, ""))
    assert all(cleaning.has_steps({name: "1"}) for name in cleaning.STEPS)
