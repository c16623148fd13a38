"""Tiny models and tokenizers, made on the spot: no download, seconds on a CPU."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from backend.running.report import Report

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CORPUS = (
    "Who are you? I am Tuneboard, an assistant made by the Tuneboard team.",
    "What is the capital of France? The capital of France is Paris.",
    "Human: hello\nAssistant: hello, how can I help you today?",
    "system\nYou are a helpful assistant.\nuser\nassistant\n",
    "Translate into English: 今天天气很好。 The weather is fine today. 你好，世界！",
)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(*special: str, template: str | None = CHATML, eos: str = "<|im_end|>") -> Any:
    """A byte-level BPE tokenizer trained on CORPUS; `special` are further special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=list(dict.fromkeys([*SPECIAL, *special, eos])),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS * 4, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=eos,
        pad_token="<|endoftext|>",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = template
    return made


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """The tokenizer of the tiny model: ChatML, about 400 tokens, eos <|im_end|>."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any) -> Path:
    """A folder with a 2-layer random Llama of hidden size 32 and its tokenizer. Read only."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("models") / "tiny"
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        eos_token_id=tiny_tokenizer.eos_token_id,
        pad_token_id=tiny_tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def make_teacher(student: Path, folder: Path, **other: Any) -> Path:
    """A model with the student's tokenizer and sharp opinions of its own."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    config = LlamaConfig.from_pretrained(student, initializer_range=0.2, **other)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(student).save_pretrained(folder)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder (TUNEBOARD_HOME) with data/ and saves/."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    for name in ("data", "saves"):
        (tmp_path / name).mkdir()
    return tmp_path


def write_dataset(home: Path, name: str, rows: list[Any], **entry: object) -> Path:
    """Write data/<name>.json with these rows and register it."""
    path = home / "data" / f"{name}.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    registry = home / "data" / "dataset_info.json"
    known = json.loads(registry.read_text()) if registry.exists() else {}
    known[name] = {"file_name": path.name, **entry}
    registry.write_text(json.dumps(known))
    return path


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ask for a stop when a step is reached, as the page does: by stop.json."""

    def ask(step: int) -> None:
        def progress(self: Report, now: int, _total: int, **_: Any) -> None:
            if now == step:
                (self.folder / "stop.json").write_text("{}")

        monkeypatch.setattr(Report, "progress", progress)

    return ask
