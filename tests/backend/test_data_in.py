"""Data on its way in: what is proposed is what training sees; registries that people bring along;
data sets of ModelScope."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.__main__ import main
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import DataError
from backend.data import hub, sources
from backend.datafiles import detect, reading, samples
from tests.fakes.registry import LOCAL, write

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=8)
WORD = TEXT.filter(str.strip)
VALUES: dict[str, Any] = {"dataset_dir": "data", "seed": 1, "identity_name": "x"}


def messages(role: str, content: str, roles: tuple[str, str, str]) -> st.SearchStrategy[Any]:
    system, user, assistant = roles

    def made(turns: list[tuple[str, str]], head: str | None) -> list[dict[str, str]]:
        start = [{role: system, content: head}] if head else []
        pairs = [[{role: user, content: q}, {role: assistant, content: a}] for q, a in turns]
        return start + [part for pair in pairs for part in pair]

    turns = st.lists(st.tuples(TEXT, WORD), min_size=1, max_size=3)
    return st.builds(made, turns, st.none() | WORD)


SHAREGPT = messages("from", "value", ("system", "human", "gpt"))
OPENAI = messages("role", "content", ("system", "user", "assistant"))
FREE = {"system": WORD, "note": st.integers()}
HISTORY = {"history": st.lists(st.tuples(TEXT, WORD).map(list), max_size=2)}
SIDES = {"chosen": st.just("good"), "rejected": WORD.filter(lambda text: text != "good")}
# Every shape that training takes without an entry: stage, needed columns, further ones.
SHAPES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sft", {"instruction": TEXT, "output": WORD}, {"input": TEXT, **HISTORY, **FREE}),
    ("sft", {"prompt": TEXT, "response": WORD}, {**FREE, **HISTORY}),
    ("sft", {"prompt": TEXT, "completion": WORD}, FREE),
    ("sft", {"question": TEXT, "answer": WORD}, FREE),
    ("sft", {"conversations": SHAREGPT}, FREE),
    ("sft", {"conversations": OPENAI}, FREE),
    ("sft", {"messages": OPENAI}, FREE),
    ("sft", {"messages": SHAREGPT}, FREE),
    ("dpo", {"prompt": TEXT, **SIDES}, FREE),
    ("dpo", {"instruction": TEXT, **SIDES}, {"input": TEXT, **HISTORY}),
    ("kto", {"prompt": TEXT, "completion": WORD, "label": st.booleans()}, FREE),
    ("kto", {"instruction": TEXT, "output": WORD, "kto_tag": st.booleans()}, FREE),
    ("kto", {"messages": OPENAI, "kto_tag": st.booleans()}, FREE),
    ("pt", {"text": WORD}, {"url": WORD}),
    ("pt", {"data": WORD}, {}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}-{'-'.join(shape[1])}")
def test_a_proposal_gives_the_conversations_of_training_without_an_entry(
    tmp_path_factory: pytest.TempPathFactory, shape: Any
) -> None:
    stage, needed, further = shape
    folder = tmp_path_factory.mktemp("data")
    rows = st.lists(st.fixed_dictionaries(needed, optional=further), min_size=1, max_size=4)

    @settings(max_examples=20, deadline=None)
    @given(rows)
    def holds(rows: list[dict[str, Any]]) -> None:
        path = folder / "x.json"
        path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
        values = {**VALUES, "dataset_dir": str(folder), "stage": stage}
        plain = sources.read_conversations(resolve({**values, "dataset": str(path)}), "dataset")
        proposal = detect.propose(samples.sample(path))
        assert proposal.stage == stage
        entry = {"file_name": "x.json", **proposal.entry}
        registry.register("x", entry, str(folder), overwrite=True)
        read = sources.read_conversations(resolve({**values, "dataset": "x"}), "dataset")
        assert read.conversations == plain.conversations
        assert {key[0] for key in read.refused} == {key[0] for key in plain.refused}

    holds()


def test_a_registry_of_a_hundred_entries_loads(workspace: Path) -> None:
    """Local entries preview and train; others say plainly what is the matter and what to do."""
    written = write(workspace / "data")
    entries = dataset_info.entries("data")
    assert list(entries) == list(written)
    assert len(entries) > 95
    for name, (stage, _, rows) in LOCAL.items():
        values = {**VALUES, "stage": stage, "dataset": name}
        assert [
            problem
            for problem in dataset_info.check(resolve(values), "train")
            if not problem.notice
        ] == []
        path = dataset_info.find(name, "data").path
        assert path is not None
        assert len(reading.page(path, 0, 5).rows) == (len(rows) or 3)
        read = sources.read_conversations(resolve(values), "dataset")
        assert (len(read.conversations), read.refused) == (len(rows) or 3, {})
    for name in ("hub_0", "hub_1"):
        with pytest.raises(DataError) as caught:
            sources.read_conversations(resolve({**VALUES, "dataset": name}), "dataset")
        assert caught.value.problems[0].code == "dataset_hub_unreachable"
        assert "file_name" in str(caught.value)
        params = {"set": name, "name": f"{name} ({entries[name].hub_id})"}
        assert caught.value.problems[0].params == params, "one word for a set, its id beside it"
    for name, code in (
        ("only_modelscope", "modelscope_missing"),
        ("only_third", "dataset_elsewhere"),
        ("scripted", "dataset_elsewhere"),
        ("cloud", "dataset_elsewhere"),
        ("pictures", "dataset_media"),
        ("gone", "dataset_file_missing"),
    ):
        with pytest.raises(DataError) as caught:
            sources.read_conversations(resolve({**VALUES, "dataset": name}), "dataset")
        assert caught.value.problems[0].code == code, name


def test_registering_beside_a_hundred_entries_keeps_them(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = write(workspace / "data")
    (workspace / "mine.csv").write_text("q,a\nx,y\n")
    assert main(["data", "register", "mine.csv", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    entry = {"file_name": str(workspace / "mine.csv"), "columns": {"prompt": "q", "response": "a"}}
    assert (row["name"], row["entry"], row["kind"]) == ("mine", entry, "sft")
    assert [message["content"] for message in row["example"]["messages"]] == ["x", "y"]
    content = json.loads((workspace / "data" / "dataset_info.json").read_text())
    assert list(content.items()) == [*written.items(), ("mine", entry)]
    read = sources.read_conversations(resolve({**VALUES, "dataset": "mine"}), "dataset")
    assert [message["content"] for message in read.conversations[0].messages] == ["x", "y"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["data"], 2),
        (["data", "fly"], 2),
        (["data", "register"], 2),
        (["data", "register", "x.csv", "--hub", "a/b"], 2),
        (["data", "register", "x.csv", "--column", "wrong=q"], 2),
        (["data", "register", "x.csv", "--column", "prompt"], 2),
        (["data", "register", "x.csv", "--unknown"], 2),
        (["data", "register", "gone.csv"], 3),
        (["data", "register", "x.csv", "--name", "../x"], 3),
        (["data", "register", "x.csv", "--column", "prompt=zz", "--column", "response=a"], 3),
        (["data", "register", "--hub", "a/b"], 3),
        (["data", "register", "--hub", "a/b", "--hub_name", "modelscope"], 3),
        (["data", "check", "nothing"], 3),
        (["data", "check"], 2),
        (["data", "check", "broken.jsonl"], 3),
        (["data", "preview", "x.csv", "--rows", "5:1"], 2),
        (["data", "remove", "x"], 3),
        (["data", "check", "x.csv", "--help"], 0),
        (["data", "register", "x.csv"], 0),
        (["data", "register", "x.csv", "--column", "prompt=q", "--column", "response=a"], 0),
        (["data", "check", "x.csv"], 3),
        (["data", "preview", "x.csv", "--rows", "0:1"], 0),
        (["data", "list"], 0),
    ],
)
def test_exit_codes_and_no_half_registration(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    (workspace / "x.csv").write_text("q,a\nx,y\n")
    (workspace / "broken.jsonl").write_text("{")
    (workspace / "data" / "dataset_info.json").write_text("{}")
    assert main(words) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert printed.out or printed.err
    registered = json.loads((workspace / "data" / "dataset_info.json").read_text())
    assert list(registered) == (["x"] if words[:2] == ["data", "register"] and not code else [])


def test_a_row_far_inside_is_shown(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a file large enough to need an index, which the command makes itself."""
    with (workspace / "x.jsonl").open("w") as file:
        file.writelines(f'{{"n": {number}, "pad": "{"x" * 80}"}}\n' for number in range(130_000))
    words = ["data", "preview", "x.jsonl", "--rows", "100000:100002", "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(line["number"], line["row"]["n"]) for line in shown["rows"]] == [
        (100_000, 100_000),
        (100_001, 100_001),
    ]
    assert main(["data", "preview", "x.jsonl", "--search", '"n": 99', "--rows", "90:400"]) == 0
    assert capsys.readouterr().out.split()[0] == "99"


class NotExistError(Exception):
    """As ModelScope's client names it."""


@pytest.fixture
def modelscope(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for the package: one set, `org/set`."""
    asked: list[tuple[str, Any]] = []

    def download(name: str, cache_dir: str | None = None, **patterns: Any) -> str:
        asked.append((name, patterns))
        if name != "org/set":
            raise NotExistError(name)
        folder = workspace / "fetched"
        folder.mkdir(exist_ok=True)
        (folder / "train.jsonl").write_text('{"instruction": "q", "output": "a"}\n')
        return str(folder)

    module = types.ModuleType("modelscope")
    module.dataset_snapshot_download = download  # type: ignore[attr-defined]
    module.asked = asked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "modelscope", module)
    return module


def test_a_set_of_modelscope_is_registered_and_read(workspace: Path, modelscope: Any) -> None:
    words = ["data", "register", "--hub", "org/set", "--hub_name", "modelscope", "--name", "ms"]
    assert main(words) == 0
    content = json.loads((workspace / "data" / "dataset_info.json").read_text())
    assert content["ms"] == {"ms_hub_url": "org/set"}
    values = {**VALUES, "dataset": "ms", "cache_dir": str(workspace / "cache")}
    for streaming in (False, True):
        read = sources.read_conversations(resolve({**values, "streaming": streaming}), "dataset")
        assert [message["content"] for message in read.conversations[0].messages] == ["q", "a"]
    assert ("org/set", {"ignore_patterns": ["*.py"]}) in modelscope.asked


@pytest.mark.parametrize("place", ["{folder}/secret.jsonl", "../secret.jsonl"])
def test_a_card_does_not_lead_out_of_its_set(workspace: Path, modelscope: Any, place: str) -> None:
    """datasets 5.2 reads a local folder's card, and obeys any path in it."""
    (workspace / "secret.jsonl").write_text('{"instruction": "q", "output": "secret"}\n')
    (workspace / "fetched").mkdir()
    files = place.format(folder=workspace)
    card = f"---\nconfigs: [{{config_name: d, data_files: {files}}}]\n---\n"
    (workspace / "fetched" / "README.md").write_text(card)
    with pytest.raises(DataError) as caught:
        hub.load(dataset_info.Entry(name="x", hub_id="org/set", hub="modelscope"), Arguments())
    assert caught.value.problems[0].code == "dataset_hub_elsewhere"


def test_a_set_that_modelscope_does_not_know(modelscope: Any) -> None:
    with pytest.raises(DataError) as caught:
        hub.is_known("org/other", "modelscope")
    assert caught.value.problems[0].code == "dataset_hub_not_found"


def test_a_modelscope_that_does_not_answer(
    modelscope: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    def stalled(*_: Any, **__: Any) -> str:
        threading.Event().wait(30)
        return ""

    monkeypatch.setattr(hub, "DEADLINE", 0.2)
    modelscope.dataset_snapshot_download = stalled
    assert not hub.is_known("org/set", "modelscope")

    def broken(*_: Any, **__: Any) -> str:
        raise ConnectionError("no route")

    modelscope.dataset_snapshot_download = broken
    assert not hub.is_known("org/set", "modelscope")
