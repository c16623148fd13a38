"""A result renders conversations as its base does, whatever template a run was trained with."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from backend.contract.arguments.arguments import resolve
from backend.contract.models.template_names import NAMES
from backend.data import templates
from backend.data.rendering import RENDER_ERRORS
from backend.model import load
from backend.model.side_files import SideFiles
from tests.backend.conftest import make_tokenizer
from tests.backend.test_mask_rule import TOOL, TOOLED, special
from tests.backend.test_shipped_templates import ALL
from tests.backend.test_side_files import files, make_base, of_tokenizer, run_exported
from tests.backend.training import train_small


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
    assert len(ALL) >= len(NAMES) >= 40  # so each built-in template was seen, too


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
