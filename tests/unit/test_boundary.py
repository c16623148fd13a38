"""Which files are opened for a visitor of the page: one table over every kind of path."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.data import datasets, drafts, upload_folder, uploads
from app.services.page import presets
from app.services.runs import recipes
from app.services.runs.recipes import Selection
from backend.contract.arguments import arguments
from backend.contract.preflight.preflight import check_paths
from backend.contract.registry import dataset_info, registry
from backend.contract.system import boundary
from backend.contract.system.files import read_mapping
from backend.contract.texts.problems import Problem, TuneboardError
from backend.datafiles import reading

CANARY = "canary of another person's file"
ROW = {"instruction": "Say hello.", "input": "", "output": CANARY}
LINE = json.dumps(ROW) + "\n"


class Places:
    """A working folder, a folder that the owner allows, and another person's, beside each other."""

    def __init__(self, parent: Path) -> None:
        self.home, self.allowed, self.private = (
            parent / name for name in ("home", "allowed", "home-of-others")
        )
        for folder in (self.home / "data", self.home / "saves", self.allowed, self.private):
            folder.mkdir(parents=True)
        for folder in (self.home / "data", self.allowed, self.private):
            (folder / "rows.jsonl").write_text(LINE)
            (folder / "set").mkdir()
            (folder / "set" / "rows.jsonl").write_text(LINE)
        self.write("data/dataset_info.json", {})

    def write(self, name: str, content: object) -> Path:
        """A JSON file in the working folder."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        return path

    def link(self, name: str, target: Path) -> Path:
        """A link in the working folder."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def register(self, file_name: str) -> str:
        """Put an entry into the registry, as a person does with an editor."""
        self.write("data/dataset_info.json", {"set": {"file_name": file_name}})
        return "set"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(boundary.VARIABLE, "[]")  # put back at the end, whatever confine sets
    monkeypatch.setattr(boundary, "_fetched", set())
    made = Places(tmp_path)
    boundary.confine([made.allowed])
    return made


def problems(action: Callable[[], object]) -> list[Problem]:
    """What an action of the page says is wrong."""
    try:
        answer = action()
    except TuneboardError as error:
        return list(error.problems)
    listed = answer if isinstance(answer, list) else []
    return [each for each in listed if isinstance(each, Problem)]


def paths(places: Places) -> dict[str, Path]:
    """Every kind of path that leads to the other person's rows."""
    up = places.home / ".." / places.private.name / "rows.jsonl"
    return {
        "absolute": places.private / "rows.jsonl",
        "dots": up,
        "link": places.link("data/link.jsonl", places.private / "rows.jsonl"),
        "relative link": places.link("data/near.jsonl", Path("../../home-of-others/rows.jsonl")),
        "link to a link": places.link("data/far.jsonl", places.home / "data" / "link.jsonl"),
        "below a link": places.link("data/folder", places.private) / "rows.jsonl",
        "folder": places.private / "set",
        "link to a folder": places.link("data/linked", places.private / "set"),
        "link in a folder": places.link("data/mixed/a.jsonl", places.private / "rows.jsonl").parent,
        "nothing there": places.private / "nothing.jsonl",
        "hidden": places.home / ".kaggle" / "rows.jsonl",
        "through hidden": places.link("data/key.jsonl", places.home / ".kaggle" / "rows.jsonl"),
        "sibling by name": Path(f"{places.home}-of-others") / "rows.jsonl",
    }


def test_no_way_leads_out(places: Places) -> None:
    """Each kind of path, by each door of the page that takes one; no word of the file comes back,
    nor whether it is there."""
    (places.home / ".kaggle").mkdir()
    (places.home / ".kaggle" / "rows.jsonl").write_text(LINE)
    doors: dict[str, Callable[[Path], object]] = {
        "On the machine": lambda path: datasets.accept_file(path, None),
        "copy": lambda path: uploads.take(path, "mine"),
        "rows": lambda path: list(reading.rows(path)),
        "first rows": datasets.read_candidate,
        "data set by path": lambda path: drafts.open_draft(str(path), "data"),
        "registry, absolute": lambda path: drafts.open_draft(places.register(str(path)), "data"),
        "registry, relative": lambda path: drafts.open_draft(
            places.register(os.path.relpath(path, places.home / "data")), "data"
        ),
    }
    tried = 0
    for kind, path in paths(places).items():
        for door, action in doors.items():
            said = problems(lambda act=action, given=path: act(given))
            assert [each.code for each in said] == [boundary.CODE], (kind, door)
            for lang in ("en", "zh"):
                assert CANARY not in said[0].text(lang)
                assert "--allowed-path" in said[0].text(lang)
            tried += 1
    assert tried == 13 * 7


def test_a_first_line_is_in_no_message_about_a_registry_or_yaml(places: Places) -> None:
    """Files that are no JSON or YAML are quoted where they are broken: not those of others."""
    broken = places.private / "broken.yaml"
    broken.write_text(f"{{{CANARY}\n")
    for name in ("dataset_info.json", "args.yaml", "ds.json"):
        (places.private / name).write_text(f"{{{CANARY}\n")
    linked = places.link("linked/dataset_info.json", places.private / "dataset_info.json").parent
    doors = [
        lambda: dataset_info.entries(str(places.private)),
        lambda: dataset_info.entries(str(linked)),
        lambda: dataset_info.entries("../home-of-others"),
        lambda: registry.register("new", {"file_name": "rows.jsonl"}, str(places.private)),
        lambda: registry.register("new", {"file_name": "rows.jsonl"}, str(linked)),
        lambda: read_mapping(broken)[1],
        lambda: read_mapping(places.link("saves/arguments/mine.yaml", broken))[1],
        lambda: presets.load_saved("mine", "train"),
        lambda: presets.save("mine", arguments.defaults("train"), "train"),
        lambda: recipes.plan(Selection(str(broken), "new", {}, {}, ""))[1],
    ]
    for number, action in enumerate(doors):
        said = problems(action)
        assert [each.code for each in said] == [boundary.CODE], number
        assert CANARY not in said[0].text("en")
    assert (places.private / "dataset_info.json").read_text() == f"{{{CANARY}\n"
    assert broken.read_text() == f"{{{CANARY}\n"


def test_every_argument_that_is_a_path(places: Places) -> None:
    """Models, adapters, configs, folders that are written: refused by the argument's name, and
    before anything in them is looked at."""
    fields = {
        **dict.fromkeys(("model_name_or_path", "ref_model", "reward_model"), "set"),
        **dict.fromkeys(("adapter_name_or_path", "ref_model_adapters"), "set"),
        **dict.fromkeys(("output_dir", "export_dir", "tokenized_path", "cache_dir"), "new"),
        **dict.fromkeys(("deepspeed", "new_special_tokens_config"), "rows.jsonl"),
        **dict.fromkeys(("reward_python_file", "export_quantization_dataset"), "rows.jsonl"),
        **dict.fromkeys(("resume_from_checkpoint", "dataset_dir", "swanlab_logdir"), "set"),
    }
    for field, name in fields.items():
        for given in (str(places.private / name), f"../{places.private.name}/{name}"):
            values = {"model_name_or_path": "org/model", field: given}
            said = check_paths(values, "train")
            assert [(each.code, each.field) for each in said] == [(boundary.CODE, field)]
        inside = {"model_name_or_path": "org/model", field: str(places.allowed / name)}
        codes = [each.code for each in check_paths(inside, "train")]
        assert boundary.CODE not in codes
    assert len(fields) == 16
    listed = f"{places.allowed / 'set'},{places.private / 'set'}"
    values = {"model_name_or_path": "org/model", "adapter_name_or_path": listed}
    assert [each.field for each in check_paths(values, "train")] == ["adapter_name_or_path"]
    values = {"model_name_or_path": "org/model", "dataset": str(places.private / "rows.jsonl")}
    said = [each for each in check_paths(values, "train") if each.code == boundary.CODE]
    assert [each.field for each in said] == ["dataset"]


def test_links_in_a_model_s_folder(places: Places) -> None:
    """A link that somebody made in a folder of weights leads out as any other; one in models/ or
    saves/models/ was put there by whoever runs Tuneboard, and a hub's cache is made of links."""
    secret = places.private / "rows.jsonl"
    places.link("mine/config.json", secret)
    assert boundary.model_refusal(places.home / "mine") is not None
    for parent in ("models", "saves/models"):
        linked = places.link(f"{parent}/theirs", places.private / "set")
        assert boundary.model_refusal(linked) is None
        places.link(f"{parent}/mixed/config.json", secret)
        assert boundary.model_refusal(places.home / parent / "mixed") is not None
    snapshot = places.private / "hub" / "models--org--name" / "snapshots" / "abc"
    blob = snapshot.parents[1] / "blobs" / "def"
    snapshot.mkdir(parents=True)
    blob.parent.mkdir()
    blob.write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/def")
    assert boundary.model_refusal(snapshot) is not None
    assert boundary.model_refusal(places.link("models/hub", snapshot)) is None


def test_what_is_allowed_is_opened(places: Places) -> None:
    """The working folder, what the owner adds, links within them, and data/ that is itself one."""
    kept = places.home.parent / "disk"
    (places.home / "data").rename(kept)
    (places.home / "data").symlink_to(kept)
    boundary.confine([places.allowed])
    places.link("near.jsonl", places.allowed / "rows.jsonl")
    good = [
        *(places.home / name for name in ("data/rows.jsonl", "data/set", "near.jsonl")),
        *(places.allowed / name for name in ("rows.jsonl", "set")),
        kept / "rows.jsonl",
    ]
    for path in good:
        assert [row for _, row in reading.rows(path)] == [ROW]
    assert dataset_info.find(str(good[3]), "data").path == good[3]
    for number, path in enumerate(good[:2]):  # by way of a hidden folder of ours
        taken = uploads.take(path, f"set{number}").path
        assert [row for _, row in reading.rows(taken)] == [ROW]


def test_a_link_that_comes_between_the_look_and_the_opening(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is judged, then made a link: it is opened without following it."""
    path = places.home / "data" / "rows.jsonl"
    resolved = os.path.realpath(path)
    for name, real in (("rows.jsonl", path), ("set", path.parent / "set" / "rows.jsonl")):
        (path.parent / name).rename(path.parent / f"old-{name}")
        (path.parent / name).symlink_to(places.private / name)
        with monkeypatch.context() as patched:
            patched.setattr(os.path, "realpath", lambda given, real=real: str(real))
            with pytest.raises((TuneboardError, OSError)):
                open(real, opener=boundary.open_file)  # noqa: SIM115 (nothing is opened)
    assert resolved == str(path)


def test_an_upload_is_one_of_this_process(places: Places) -> None:
    """A request may name any path as an upload: the place that opens it looks, too."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(upload_folder.VARIABLE, raising=False)
        box = upload_folder.open_folder()
        try:
            (box.path / "x").mkdir()
            upload = box.path / "x" / "rows.jsonl"
            upload.write_text(LINE)
            assert datasets.accept_upload(upload).sample.rows[0] == ROW
            (box.path / "x" / "link.jsonl").symlink_to(places.private / "rows.jsonl")
            forged = [
                places.home / "data" / "rows.jsonl",
                places.private / "rows.jsonl",
                box.path / "x" / "link.jsonl",
                box.path / "x" / ".." / ".." / ".." / ".." / "data" / "rows.jsonl",
                box.path,
                Path("rows.jsonl"),
                Path("http://127.0.0.1/rows.jsonl"),
            ]
            for path in forged:
                assert problems(lambda given=path: datasets.accept_upload(given)), path
                assert problems(lambda given=path: presets.load_upload(str(given), "train")), path
        finally:
            box.close()


def test_a_terminal_is_not_bounded(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(boundary.VARIABLE)
    monkeypatch.chdir(places.home)
    link = places.link("data/link.jsonl", places.private / "rows.jsonl")
    for path in (places.private / "rows.jsonl", link, places.private / "set"):
        assert [row for _, row in reading.rows(path)] == [ROW]
        assert dataset_info.find(str(path), "data").path == path
    values = {"model_name_or_path": "org/model", "output_dir": str(places.private / "new")}
    assert boundary.CODE not in [each.code for each in check_paths(values, "train")]
