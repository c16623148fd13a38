"""The starter model really fetched and converted by the command: 20 s and 0.9 GB of disk."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.cli import starter

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.starter, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `tuneboard starter` says that it made; the wheel kept in the checkout is used."""
    target = tmp_path_factory.mktemp("fresh")
    done = subprocess.run(
        [sys.executable, "-m", "backend", "starter", "--dir", str(target)],
        cwd=ROOT,
        env={**os.environ, "TUNEBOARD_HOME": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = Path(done.stdout.splitlines()[-1])
    assert [path.name for path in target.iterdir()] == [made.name]
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_it_is_whole_and_nothing_else_lies_in_it(folder: Path) -> None:
    assert starter.is_whole(folder)
    assert {path.name for path in folder.iterdir()} == starter.FILES


def test_special_tokens_and_limits(folder: Path, tokenizer: Any) -> None:
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)
    assert tokenizer.model_max_length == 8192
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((folder / name).read_text())
        assert (settings["eos_token_id"], settings["pad_token_id"]) == (2, 0)


def test_digits_are_split_as_in_the_original(tokenizer: Any) -> None:
    """transformers loses the Digits pre-tokenizer of this GGUF file; we put it back."""
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]


def test_text_survives_tokenizing(tokenizer: Any) -> None:
    text = "Hello,  world! 3.14 und 今天天气很好。\n\tdef f(x): return x ** 2"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_chat_template_is_chatml_with_its_own_system_text(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer(text)["input_ids"][0] == 1


def test_the_self_check_sees_a_model_that_answers_nonsense(
    folder: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    """A twin of the check in the command: with random weights it must fail."""
    import torch
    from safetensors.torch import load_file, save_file

    assert starter._find_fault(folder) == ""
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    weights[name] = torch.randn_like(weights[name])
    (tmp_path / "model.safetensors").unlink()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert "France" in starter._find_fault(tmp_path)
    assert "tokenizer" in starter._find_fault(tiny_model_dir)
