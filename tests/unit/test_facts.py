"""What the model bar says of a model: read from small files and headers, again once they change."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.services.models import facts
from app.tabs.shared.model_bar import look_up
from backend.contract.models import model_folder

SHAPES = {"embed": (100, 8), "layer": (8, 8)}
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    return tmp_path


def write_weights(file: Path, dtype: str, width: int) -> None:
    """A safetensors file of SHAPES whose tensors hold zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (rows, columns) in SHAPES.items():
        begin, end = end, end + rows * columns * width
        header[name] = {"dtype": dtype, "shape": [rows, columns], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def write_model(folder: Path, config: dict[str, Any] | None = None, **tokenizer: Any) -> Path:
    """A model folder without a card."""
    folder.mkdir(parents=True)
    plain = {"num_hidden_layers": 2, "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(plain if config is None else config))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    write_weights(folder / "model.safetensors", "BF16", 2)
    return folder


def words(model: Any, lang: str = "en") -> dict[str, str]:
    return dict(look_up({"model": model, "lang": lang})["facts"])


def find(model: str) -> facts.Facts:
    known = facts.find(model)
    assert known is not None
    return known


def test_the_facts_of_a_folder(home: Path) -> None:
    folder = write_model(home / "m", chat_template=TEMPLATE)
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: mine\n---\n# A model")
    size = (folder / "model.safetensors").stat().st_size
    assert find("m") == facts.Facts(
        parameters=864,
        layers=2,
        context=4096,
        size=size,
        dtype="bfloat16",
        license="mine",
        has_template=True,
    )
    assert words("m")["Context"] == "4,096 tokens"
    assert words("m", "zh")["层数"] == "2"


def test_a_model_that_sees_thinks_and_knows_tools(home: Path) -> None:
    """The configuration of its text model counts; one of several templates knows tools."""
    text = {"num_hidden_layers": 3, "max_position_embeddings": 64}
    config = {"text_config": text, "vision_config": {"depth": 1}, "audio_config": None}
    templates = [
        {"name": "default", "template": TEMPLATE},
        {"name": "tool_use", "template": "{{ tools }}{% if enable_thinking %}<think>{% endif %}"},
    ]
    write_model(home / "m", config, chat_template=templates)
    known = find("m")
    assert (known.layers, known.context, known.senses) == (3, 64, ("sees",))
    assert (known.has_tools, known.thinking) == (True, "switch")
    (home / "m" / "chat_template.jinja").write_text(TEMPLATE + "<think>")  # it comes first
    assert (find("m").has_tools, find("m").thinking) == (False, "always")


def test_files_are_read_again_only_once_they_have_changed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_model(home / "m")
    reads: list[Path] = []
    headers = model_folder.headers

    def count(path: Path, stem: str) -> Any:
        reads.append(path)
        return headers(path, stem)

    monkeypatch.setattr(model_folder, "headers", count)
    assert find("m") == find("m")
    assert len(reads) == 1
    write_weights(folder / "model.safetensors", "F32", 4)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert (find("m").dtype, len(reads)) == ("float32", 2)


def test_packed_weights_are_not_counted_as_parameters(home: Path) -> None:
    write_model(home / "m", {"quantization_config": {"quant_method": "gptq"}})
    assert words("m")["Stored as"] == "gptq"
    assert "Parameters" not in words("m")


@pytest.mark.parametrize("length", [5, 2**62])
def test_weights_that_are_none_tell_nothing(home: Path, length: int) -> None:
    """As many bytes as the first eight say were asked for, at once."""
    folder = write_model(home / "m")
    (folder / "model.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    assert words("m") == {"Layers": "2", "Context": "4,096 tokens"}


def test_an_adapter_has_the_facts_of_its_base(home: Path) -> None:
    write_model(home / "m")
    (home / "a").mkdir()
    (home / "a" / "adapter_config.json").write_text('{"base_model_name_or_path": "m"}')
    assert (words("a")["Adapter of"], words("a")["Layers"]) == ("m", "2")
    (home / "a" / "adapter_config.json").write_text('{"base_model_name_or_path": "a"}')
    assert words("a") == {}


def test_of_a_hub_id_only_what_the_catalog_knows_is_said() -> None:
    known = words("bigscience/bloom-560m")
    assert known == {
        "Hugging Face": "bigscience/bloom-560m",
        "ModelScope": "AI-ModelScope/bloom-560m",
    }
    assert words("AI-ModelScope/bloom-560m") == known
    assert words("nobody/knows") == {}


def test_a_downloaded_model_has_the_facts_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models--nobody--knows"
    write_model(folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    assert words("nobody/knows")["Layers"] == "2"


@pytest.mark.parametrize("model", ["", " ", "\0", "../..", "/", "x" * 5000, {"a": 1}, None])
def test_of_anything_else_nothing_is_said(model: Any) -> None:
    assert look_up({"model": model, "lang": "xx"})["facts"] == []
