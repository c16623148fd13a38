"""What training does not change stays as it was, file by file: every file of base and result.

A base with Qwen3-Instruct-2507's template, trained with `template: qwen3_nothink`, lost its tools:
the result carried the built-in template. The right value of each file is the base's own bytes.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

from backend.contract.arguments.arguments import parse, resolve
from backend.export import export
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_shipped_templates import TRL
from tests.backend.training import train_small

OWN = TRL["qwen3_instruct_2507"]
# What a run adds to a folder, or must write anew (weights). config.json of a whole model and
# generation_config.json are compared, too: the base's ends of an answer hold the template's.
WEIGHTS = {"model.safetensors", "model.safetensors.index.json", "README.md"}


def change(path: Path, indent: int | None = 4, ascii_: bool = True, **more: Any) -> None:
    """Write a JSON file anew in a form that no library writes, without some keys (None)."""
    content = {**(json.loads(path.read_text()) if path.exists() else {}), **more}
    content = {
        key: value for key, value in sorted(content.items(), reverse=True) if value is not None
    }
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=ascii_))


def modern(base: Path) -> None:
    """As transformers 5 writes it: the template in a file of its own."""
    (base / "chat_template.jinja").write_bytes(OWN.encode() + b"\n\n")
    change(base / "tokenizer_config.json", ascii_=False)


def old(base: Path) -> None:
    """As transformers 4 did: template and added tokens within, special tokens in files."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    (base / "chat_template.jinja").unlink()
    states = {
        str(index): {**token.__getstate__(), "note": "ü"}
        for index, token in tokenizer.added_tokens_decoder.items()
    }
    change(base / "tokenizer_config.json", chat_template=OWN, added_tokens_decoder=states)
    change(base / "special_tokens_map.json", eos_token={"content": "<|im_end|>", "lstrip": False})
    change(base / "added_tokens.json", indent=None, **tokenizer.get_added_vocab())
    change(base / "vocab.json", **tokenizer.get_vocab())
    (base / "merges.txt").write_text("#version: 0.2\nĠ t")


def several(base: Path) -> None:
    """Built-in templates within the settings, as Command-R and Hermes have them."""
    (base / "chat_template.jinja").unlink()
    pairs = {"tool_use": OWN, "default": CHATML, "rag": "{{ messages }}"}
    listed = [{"name": name, "template": text} for name, text in pairs.items()]
    change(base / "tokenizer_config.json", chat_template=listed)


def folder_of_templates(base: Path) -> None:
    """Built-in templates in files, as transformers 5 writes them."""
    (base / "chat_template.jinja").write_bytes(CHATML.encode())
    more = base / "additional_chat_templates"
    more.mkdir()
    (more / "tool_use.jinja").write_bytes(OWN.encode() + b" ")
    (more / "rag.jinja").write_bytes(b"{{ messages }}")


def without_pad(base: Path) -> None:
    """No pad token and no generation settings: a run needs a pad token, its result does not."""
    modern(base)
    change(base / "tokenizer_config.json", pad_token=None)
    (base / "generation_config.json").unlink()


def in_python(base: Path) -> None:
    """A tokenizer written in Python, its vocabulary in a file of its own kind."""
    (base / "tokenizer.json").unlink()
    modern(base)
    change(
        base / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer", pad_token="<|endoftext|>"
    )
    source = make_tokenizer()
    raw = json.loads(source.backend_tokenizer.to_str())["model"]
    (base / "vocab.json").write_text(json.dumps(raw["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in raw["merges"])
    (base / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    added = {str(i): t.__getstate__() for i, t in source.added_tokens_decoder.items()}
    change(base / "tokenizer_config.json", added_tokens_decoder=added)


KINDS: dict[str, Callable[[Path], None]] = {
    "modern": modern,
    "old": old,
    "several": several,
    "folder of templates": folder_of_templates,
    "without pad": without_pad,
    "in python": in_python,
}


def make_base(folder: Path, tiny_model_dir: Path, kind: str) -> Path:
    """A model whose every file is written in a way of its own, with files of further kinds."""
    shutil.copytree(tiny_model_dir, folder)
    ends = make_tokenizer().convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    # transformers refuses to write sampling numbers without do_sample
    change(folder / "generation_config.json", eos_token_id=ends, temperature=0.6, top_p=0.9)
    change(folder / "config.json", auto_map={"AutoConfig": "configuration_x.X"}, note="ü")
    change(folder / "preprocessor_config.json", size={"height": 3})
    change(folder / "processor_config.json", processor_class="X")
    for name in ("LICENSE", "LICENSE.md", "NOTICE.txt", "USE_POLICY.md"):
        (folder / name).write_text(f"{name}\r\n")
    (folder / "configuration_x.py").write_text("raise SystemExit('run')\n")
    KINDS[kind](folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, and of its folder of templates, by name."""
    paths = [path for path in folder.iterdir() if path.is_file()]
    paths += (folder / "additional_chat_templates").glob("*")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def of_tokenizer(names: Mapping[str, bytes]) -> set[str]:
    marks = ("tokenizer", "special_tokens", "added_tokens", "chat_template", "additional_", "vocab")
    return {name for name in names if name.startswith((*marks, "merges"))}


def run_exported(adapter: Path, home: Path, **options: Any) -> Path:
    """The folder that `tuneboard export` writes."""
    words = {"model_name_or_path": adapter, "export_dir": home / "out", **options}
    values, problems = parse({name: str(value) for name, value in words.items()}, "export")
    assert not [each for each in problems if not each.notice]
    log = home / "saves" / "log"
    log.mkdir(exist_ok=True)
    export.run(resolve(values), log)
    return home / "out"


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_of_every_result_is_the_base_s_own(
    kind: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Adapter, its checkpoint, its export; the whole model and its checkpoint."""
    base = make_base(workspace / "base", tiny_model_dir, kind)
    own = files(base)
    adapter = train_small(workspace, base, "adapter", max_steps=1, save_steps=1)
    names = of_tokenizer(own)
    assert len(names) >= 2
    for folder in (adapter, adapter / "checkpoint-1"):
        result = files(folder)
        assert {name: result.get(name) for name in names} == {name: own[name] for name in names}
        assert of_tokenizer(result) == names
    full = train_small(workspace, base, "full", max_steps=1, save_steps=1, finetuning_type="full")
    exported = run_exported(adapter, workspace)
    expected = {name: each for name, each in own.items() if name not in WEIGHTS}
    assert len(expected) >= 10
    for folder in (full, full / "checkpoint-1", exported):
        result = files(folder)
        assert {name: result.get(name) for name in expected} == expected, folder
        assert of_tokenizer(result) == names
    assert set(files(exported)) - set(own) <= {"Modelfile", "README.md"}
    assert not (exported / "run.json").exists()


def test_config_json_differs_in_what_training_changed(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """New rows of embeddings and another number format; ids of special tokens stay."""
    base = make_base(workspace / "base", tiny_model_dir, "modern")
    full = train_small(
        workspace,
        base,
        "full",
        max_steps=1,
        finetuning_type="full",
        add_tokens="<new>",
        resize_vocab=True,
    )
    own, new = (json.loads((each / "config.json").read_text()) for each in (base, full))
    changed = {name for name in {*own, *new} if own.get(name) != new.get(name)}
    assert changed == {"vocab_size"}
    exported = run_exported(base, workspace, export_dtype="float16")
    new = json.loads((exported / "config.json").read_text())
    assert {name for name in {*own, *new} if own.get(name) != new.get(name)} == {"dtype"}
    assert (own["dtype"], new["dtype"]) == ("float32", "float16")
    assert AutoConfig.from_pretrained(exported).vocab_size == own["vocab_size"]


@pytest.mark.parametrize("kind", ["modern", "old", "several", "folder of templates"])
def test_new_tokens_are_all_that_is_new(kind: str, workspace: Path, tiny_model_dir: Path) -> None:
    """Templates and settings stay; the tokenizer has the new tokens and all the old ones."""
    base = make_base(workspace / "base", tiny_model_dir, kind)
    folder = train_small(
        workspace, base, max_steps=1, add_tokens="plumbus", add_special_tokens="<sp>"
    )
    own, result = files(base), files(folder)
    extended = {"tokenizer.json", "tokenizer_config.json", "added_tokens.json"}
    for name in of_tokenizer(own) - extended:
        assert result[name] == own[name], name
    assert of_tokenizer(result) == of_tokenizer(own)
    before, after = (json.loads(each["tokenizer_config.json"]) for each in (own, result))
    known = after.get("added_tokens_decoder", {})
    assert {**after, "added_tokens_decoder": None} == {**before, "added_tokens_decoder": None}
    assert {k: known.get(k) for k in before.get("added_tokens_decoder", {})} == before.get(
        "added_tokens_decoder", {}
    )
    old_one, new_one = (AutoTokenizer.from_pretrained(each) for each in (base, folder))
    assert new_one.get_vocab().items() >= old_one.get_vocab().items()
    assert len(new_one) == len(old_one) + 2
    assert new_one.tokenize("a plumbus <sp>b")[-4:-1] == ["plumbus", "Ġ", "<sp>"]
    assert new_one.special_tokens_map == old_one.special_tokens_map
    assert new_one.chat_template == old_one.chat_template


def test_a_result_of_a_result_stays_the_base_s(workspace: Path, tiny_model_dir: Path) -> None:
    """Full training, then an adapter on it, then its export: no file of a run is carried along."""
    base = make_base(workspace / "base", tiny_model_dir, "old")
    full = train_small(workspace, base, "full", max_steps=1, finetuning_type="full")
    (full / "run.json").write_text("{}")
    (full / "args.yaml").write_text("stage: sft\n")
    adapter = train_small(workspace, full, "adapter", max_steps=1)
    exported = run_exported(adapter, workspace)
    own, result = files(base), files(exported)
    assert {name: result.get(name) for name in own if name not in WEIGHTS} == {
        name: each for name, each in own.items() if name not in WEIGHTS
    }
    assert set(result) - set(own) <= {"Modelfile", "README.md"}


def test_what_ends_an_answer_is_added_to_the_settings(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """All else in generation_config.json stays, also what transformers would refuse to write."""
    base = make_base(workspace / "base", tiny_model_dir, "modern")
    change(base / "generation_config.json", eos_token_id=0)
    full = train_small(workspace, base, "full", max_steps=1, finetuning_type="full")
    own, new = (json.loads((each / "generation_config.json").read_text()) for each in (base, full))
    assert new == {**own, "eos_token_id": [0, make_tokenizer().convert_tokens_to_ids("<|im_end|>")]}
    assert new["temperature"] == 0.6
    assert "pad_token_id" not in new or "pad_token_id" in own


def test_a_model_without_generation_settings_gets_them_for_another_end(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """Its config.json says what ends a text; a template's end is added in a file of its own."""
    base = make_base(workspace / "base", tiny_model_dir, "without pad")
    change(base / "config.json", eos_token_id=0, bos_token_id=1, pad_token_id=None)
    full = train_small(workspace, base, "full", max_steps=1, finetuning_type="full")
    end = make_tokenizer().convert_tokens_to_ids("<|im_end|>")
    settings = json.loads((full / "generation_config.json").read_text())
    assert settings == {"bos_token_id": 1, "eos_token_id": [0, end]}
    assert (full / "config.json").read_bytes() == (base / "config.json").read_bytes()


def test_a_base_that_is_gone_does_not_end_a_run(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of models may be cleared while one of them is trained."""
    from backend.training.trainer import RunTrainer

    base = make_base(workspace / "base", tiny_model_dir, "modern")
    begin = RunTrainer.run

    def clear(self: Any, checkpoint: Path | None) -> None:
        shutil.rmtree(base)
        begin(self, checkpoint)

    monkeypatch.setattr(RunTrainer, "run", clear)
    adapter = train_small(workspace, base, max_steps=1)
    assert AutoTokenizer.from_pretrained(adapter).chat_template
