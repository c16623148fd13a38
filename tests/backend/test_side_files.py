"""What training does not change stays as it was, file by file: every file of base and result.

A base with Qwen3-Instruct-2507's template, trained with `template: qwen3_nothink`, lost its tools:
the result carried the named template. The right value of each file is the base's own bytes.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.models.template_names import NAMES
from backend.data import templates
from backend.data.rendering import RENDER_ERRORS
from backend.export import export
from backend.model import load
from backend.model.side_files import SideFiles
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_mask_rule import TOOL, TOOLED, special
from tests.backend.test_shipped_templates import ALL, TRL
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
    """Named templates within the settings, as Command-R and Hermes have them."""
    (base / "chat_template.jinja").unlink()
    pairs = {"tool_use": OWN, "default": CHATML, "rag": "{{ messages }}"}
    listed = [{"name": name, "template": text} for name, text in pairs.items()]
    change(base / "tokenizer_config.json", chat_template=listed)


def folder_of_templates(base: Path) -> None:
    """Named templates in files, as transformers 5 writes them."""
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


def told(folder: Path) -> dict[str, dict[str, Any]]:
    """The notices of a run as the page shows them."""
    status = json.loads((folder / "status.json").read_text())
    return {problem["code"]: problem["params"] for problem in status["notices"]}


def render(folder: Path) -> str:
    """Tools, a call and its result, as any program writes them with this folder's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return str(tokenizer.apply_chat_template(TOOLED, tools=[TOOL], tokenize=False))


def result_of(base: Path, folder: Path, name: str) -> Path:
    """What lies beside the weights of an adapter of this base, trained with this template."""
    values = resolve({"model_name_or_path": str(base), "template": name})
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    folder.mkdir()
    SideFiles.of(values, tokenizer, template.name, template.answer_ends).write(folder, whole=False)
    return folder


def rendered(folder: Path) -> list[str]:
    """Some conversations as any program writes them with this folder's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = []
    for chat in (TOOLED[:1], [*TOOLED[:1], TOOLED[3], *TOOLED[:1]], TOOLED):
        for tools in (None, [TOOL]):
            try:
                text = tokenizer.apply_chat_template(
                    chat, tools=tools, tokenize=False, add_generation_prompt=True
                )
            except RENDER_ERRORS as error:
                text = f"refused: {error}"
            texts.append(str(text))
    return texts


def test_a_result_renders_as_its_base_on_every_shipped_template(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """Trained with the model's own template, and with a named one."""
    base = make_base(tmp_path / "base", tiny_model_dir, "modern")
    words = {word for jinja in ALL.values() for word in special(jinja)}
    tokenizer = make_tokenizer(*sorted(words))
    tokenizer.bos_token = "<|endoftext|>"  # some templates write it
    tokenizer.save_pretrained(base)
    for number, (name, jinja) in enumerate(ALL.items()):
        (base / "chat_template.jinja").write_bytes(jinja.encode())
        wanted = rendered(base)
        named_one = sorted(NAMES)[number % len(NAMES)]
        for chosen in ("auto", named_one):
            result = result_of(base, tmp_path / f"{name}-{chosen}", chosen)
            assert (result / "chat_template.jinja").read_bytes() == jinja.encode()
            assert rendered(result) == wanted, (name, chosen)
    assert len(ALL) >= len(NAMES) >= 40  # so each named template was seen, too


def test_a_base_without_a_template_renders_as_each_named_one(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """Plain transformers writes a result's prompt as it was trained."""
    base = make_base(tmp_path / "base", tiny_model_dir, "modern")
    (base / "chat_template.jinja").unlink()
    asked = [{"role": "user", "content": "What time is it?"}]
    for name in NAMES:
        result = result_of(base, tmp_path / name, name)
        plain = AutoTokenizer.from_pretrained(result)
        template = templates.load(resolve({"template": name}), AutoTokenizer.from_pretrained(base))
        prompt = plain.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        assert prompt == template.render(asked, None, add_generation_prompt=True), name
    assert len(NAMES) >= 40


NAMED = ("qwen3_nothink", "chatml", "alpaca", "llama3", "vicuna", "default")


@pytest.mark.parametrize("name", NAMED)
def test_a_named_template_does_not_replace_the_model_s_own(
    name: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """LLaMA-Factory's own example: the result renders as the base does, one notice says how the
    named one differs, and here the result is asked as it learned."""
    base = make_base(workspace / "base", tiny_model_dir, "modern")
    adapter = train_small(workspace, base, "adapter", max_steps=1, save_steps=1, template=name)
    notices = told(adapter)
    about = [code for code in notices if code in {"template_not_own", "template_differs"}]
    if name not in {"qwen3_nothink", "chatml"}:  # these write the rows as the model's own does
        assert about == ["template_differs"]
        assert notices["template_differs"]["rows"] == 30
        assert "<|im_start|>user" in notices["template_differs"]["own"]
    exported = run_exported(adapter, workspace)
    full = train_small(workspace, base, "full", max_steps=1, finetuning_type="full", template=name)
    for folder in (adapter, adapter / "checkpoint-1", exported, full):
        assert render(folder) == render(base)
        assert json.loads((folder / "tuneboard.json").read_text()) == {"template": name}
    modelfile = (exported / "Modelfile").read_text()
    assert "<|im_start|>user" in modelfile
    for values in (
        {"model_name_or_path": str(base), "adapter_name_or_path": str(adapter)},
        {"model_name_or_path": str(full)},
        {"model_name_or_path": str(exported)},
    ):
        tokenizer = load.tokenizer(resolve(values))
        template = templates.load(resolve(values), tokenizer)
        assert template.name == name
        wanted = templates.load(resolve({"template": name}), AutoTokenizer.from_pretrained(base))
        assert template.jinja == wanted.jinja
        if about:
            assert "template_as_trained" in [problem.code for problem in template.notices]
        explicit = templates.load(
            resolve({**values, "template": "zephyr"}), load.tokenizer(resolve(values))
        )
        assert explicit.name == "zephyr"


def test_the_next_stage_learns_on_in_the_same_template(
    workspace: Path, tiny_model_dir: Path
) -> None:
    base = make_base(workspace / "base", tiny_model_dir, "modern")
    full = train_small(
        workspace, base, "full", max_steps=1, finetuning_type="full", template="alpaca"
    )
    after = train_small(workspace, full, "after", max_steps=1)
    assert "template_as_trained" in told(after)
    assert json.loads((after / "tuneboard.json").read_text()) == {"template": "alpaca"}
    own = train_small(workspace, base, "own", max_steps=1)
    assert not (own / "tuneboard.json").exists()


def test_a_model_without_a_template_gets_the_named_one(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """It is all that is new among the tokenizer's files, and other programs ask with it."""
    base = make_base(workspace / "base", tiny_model_dir, "modern")
    (base / "chat_template.jinja").unlink()
    own = files(base)
    adapter = train_small(workspace, base, "adapter", max_steps=1, template="alpaca")
    assert "template_on_base" in told(adapter)
    exported = run_exported(adapter, workspace)
    for folder in (adapter, exported):
        result = files(folder)
        assert of_tokenizer(result) == of_tokenizer(own) | {"chat_template.jinja"}
        assert all(result[name] == own[name] for name in of_tokenizer(own))
        assert "### Instruction:" in AutoTokenizer.from_pretrained(folder).chat_template
    values = resolve({"model_name_or_path": str(exported)})
    template = templates.load(values, load.tokenizer(values))
    assert (template.name, [problem.code for problem in template.notices]) == ("alpaca", [])


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
