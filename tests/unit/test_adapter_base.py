"""An adapter on another base than its own: by a fingerprint, else by the name that it gives."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.contract.models import model_folder
from backend.contract.system.files import read_json


def make_base(folder: Path, seed: int = 0, shards: int = 1) -> Path:
    """Four matrices of 40 x 50 numbers, in one file or several."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(seed)
    weights = {f"layer.{i}": numbers.random((40, 50), dtype=np.float32) for i in range(4)}
    names = list(weights)
    if shards == 1:
        save_file(weights, folder / "model.safetensors")
    else:
        places = {}
        for number in range(shards):
            file = f"model-{number}.safetensors"
            part = names[number::shards]
            save_file({name: weights[name] for name in part}, folder / file)
            places |= dict.fromkeys(part, file)
        index = folder / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def make_adapter(folder: Path, base: object, before: tuple[Path, ...] = (), seed: int = 9) -> Path:
    """An adapter that names `base`; trained here where that is a folder with weights."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(seed)
    save_file({"a": numbers.random((4, 5))}, folder / "adapter_model.safetensors")
    config = {"base_model_name_or_path": str(base), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    if isinstance(base, Path):
        model_folder.write(folder, model_folder.record(base, before))
    return folder


def codes(base: Path, *adapters: Path, name: str = "") -> list[str]:
    return [each.code for each in model_folder.notices(base, name or str(base), adapters)]


def test_other_weights_of_the_same_shapes_are_seen_and_a_moved_base_is_not(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    other = make_base(tmp_path / "other", seed=1)
    assert codes(base, adapter) == []
    notices = model_folder.notices(other, str(other), [adapter])
    assert [each.code for each in notices] == ["adapter_of_other_base"]
    assert notices[0].notice
    assert notices[0].field == "adapter_name_or_path"
    assert all(str(path) in notices[0].text() for path in (adapter, other, base))
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(base, moved)
    shutil.rmtree(base)
    assert codes(moved, adapter) == []
    assert codes(make_base(tmp_path / "sharded", shards=3), adapter) == []


def test_what_the_fingerprint_looks_at(tmp_path: Path) -> None:
    """The first, the middle and the last of 2,000 numbers; one between them is missed, as said."""
    base = make_base(tmp_path / "base")
    weights = load_file(base / "model.safetensors")

    def changed(place: int) -> str:
        other = {name: each.copy() for name, each in weights.items()}
        other["layer.2"].reshape(-1)[place] += 1
        save_file(other, base / "model.safetensors")
        return model_folder.fingerprint(base, "model")

    own = model_folder.fingerprint(base, "model")
    assert {place: changed(place) != own for place in (0, 500, 1000, 1999)} == {
        0: True,
        500: False,
        1000: True,
        1999: True,
    }


def test_a_stack_needs_what_lay_below_it(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    first = make_adapter(tmp_path / "first", base)
    second = make_adapter(tmp_path / "second", base, (first,), seed=3)
    other = make_adapter(tmp_path / "other", base, seed=4)
    assert codes(base, first, second) == []
    assert codes(base, second) == ["adapter_of_other_stack"]
    assert codes(base, other, second) == ["adapter_of_other_stack"]
    assert codes(base, second, first) == ["adapter_of_other_stack"] * 2


def test_a_base_that_was_trained_again_is_another(tmp_path: Path) -> None:
    """A run's folder as the base, overwritten by a later run."""
    base = make_base(tmp_path / "run")
    adapter = make_adapter(tmp_path / "adapter", base)
    shutil.rmtree(base)
    make_base(base, seed=1)
    assert codes(base, adapter) == ["adapter_of_other_base"]


CACHE = Path("hub/models--org--Tiny-1B/snapshots/0123abcd")


@pytest.mark.parametrize(
    ("named", "folder", "name", "same"),
    [
        ("org/Tiny-1B", "Tiny-1B", "", True),  # a copy of the hub's model on this disk
        ("org/tiny-1b", "Tiny-1B", "", True),
        ("org/Tiny-1B", str(CACHE), "org/Tiny-1B", True),
        ("org/Tiny-1B", str(CACHE), "", True),
        ("org/Tiny-1B", "Tiny-1B-Instruct", "", False),
        ("org/Tiny-1B", str(CACHE.parents[1].with_name("models--org--Tiny-3B") / "s/x"), "", False),
        ("/their/disk/Tiny-1B", "Tiny-1B", "", True),
        ("/their/disk/checkpoint-500", "Tiny-1B", "", False),
        ("", "Tiny-1B", "", True),  # nothing is said, so nothing is known
    ],
)
def test_an_adapter_from_elsewhere_is_judged_by_the_name_of_its_base(
    tmp_path: Path, named: str, folder: str, name: str, same: bool
) -> None:
    base = make_base(tmp_path / folder)
    adapter = make_adapter(tmp_path / "adapter", named)
    assert codes(base, adapter, name=name) == ([] if same else ["adapter_names_other_base"])


def test_a_base_named_by_its_folder_is_compared_where_that_is_on_this_disk(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", str(base))
    assert not read_json(adapter / model_folder.NAME)
    shutil.copytree(base, tmp_path / "copy")
    assert codes(tmp_path / "copy", adapter) == []
    assert codes(make_base(tmp_path / "b" / "base", seed=1), adapter) == [
        "adapter_names_other_base"
    ]
