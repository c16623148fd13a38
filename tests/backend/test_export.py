"""Export on a tiny model: what is written answers as base and adapter do, or nothing is written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.models.model_folder import headers
from backend.contract.runs import run_folder
from backend.contract.texts.problems import TuneboardError
from backend.export import export, merging, new_folder
from backend.model.tensors import dtype_of, layout
from backend.running.failures import Stopped
from backend.running.report import Report

Exporter = Callable[..., Path]
PROMPT = torch.tensor([[1, 20, 33, 47, 2, 60]])
TOLERANCE = 1e-4

ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "ranks": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "bias": {"bias": "lora_only"},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "saved_module": {"modules_to_save": ["norm"]},
    "saved_embedding": {"modules_to_save": ["embed_tokens"]},
    "saved_head": {"modules_to_save": ["lm_head"]},
    "tied_embedding": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
}
PLAIN = {"lora", "rslora"}


def make_adapter(base: Path, folder: Path, **options: Any) -> Path:
    """An adapter with random weights that change the answers visibly."""
    torch.manual_seed(1)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **options}
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(task_type="CAUSAL_LM", **settings)
    )
    for name, weights in model.named_parameters():
        if weights.requires_grad and "magnitude" not in name:
            weights.data += 0.1 * torch.randn_like(weights)
    model.save_pretrained(folder)
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(PROMPT).logits.float()


def tuned(base: Path, *folders: Path) -> torch.Tensor:
    """The logits of base and adapters as peft computes them without merging the last."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for folder in folders[:-1]:
        model = PeftModel.from_pretrained(model, folder).merge_and_unload()
    return logits(PeftModel.from_pretrained(model, folders[-1]))


def plainly(folder: Path) -> Any:
    """A folder as anyone loads it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


@pytest.fixture
def run(tmp_path: Path, workspace: Path, tiny_model_dir: Path) -> Exporter:
    """Export the tiny model with these arguments; the run's folder and the target are made up."""

    def call(**options: Any) -> Path:
        options.setdefault("model_name_or_path", str(tiny_model_dir))
        options.setdefault("export_dir", str(tmp_path / "out" / "merged"))
        values, problems = parse({key: str(value) for key, value in options.items()}, "export")
        assert [problem for problem in problems if not problem.notice] == []
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        export.run(resolve(values), folder)
        return Path(options["export_dir"])

    return call


def code(error: pytest.ExceptionInfo[TuneboardError]) -> str:
    return error.value.problems[0].code


@pytest.mark.parametrize("kind", ADAPTERS)
def test_merged_answers_as_base_and_adapter(
    run: Exporter, tiny_model_dir: Path, tmp_path: Path, kind: str
) -> None:
    adapter = make_adapter(tiny_model_dir, tmp_path / kind, **ADAPTERS[kind])
    wanted = tuned(tiny_model_dir, adapter)
    assert (wanted - logits(plainly(tiny_model_dir))).abs().max() > 100 * TOLERANCE
    result = logits(plainly(run(adapter_name_or_path=adapter)))
    assert (result - wanted).abs().max() < TOLERANCE
    is_plain = merging.plain_deltas([adapter], layout(tiny_model_dir), {}) is not None
    assert is_plain == (kind in PLAIN)


@pytest.mark.parametrize("kind", sorted(PLAIN))
def test_both_ways_of_merging_agree_to_the_bit(
    run: Exporter,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    adapter = make_adapter(tiny_model_dir, tmp_path / "lora", **ADAPTERS[kind])
    streamed = run(adapter_name_or_path=adapter)
    monkeypatch.setattr(merging, "plain_deltas", lambda *_: None)
    whole = run(adapter_name_or_path=adapter, export_dir=tmp_path / "peft")
    assert {path.name for path in streamed.iterdir()} == {path.name for path in whole.iterdir()}
    first, other = plainly(streamed).state_dict(), plainly(whole).state_dict()
    assert first.keys() == other.keys()
    assert all(torch.equal(first[name], other[name]) for name in first)


def test_the_settings_of_a_plain_lora_are_those_of_peft() -> None:
    """The table of defaults is that of the installed package."""
    known = json.loads(json.dumps(LoraConfig().to_dict(), default=str))
    expected = {name: value for name, value in known.items() if name not in merging.UNIMPORTANT}
    assert expected == merging.DEFAULTS
    assert set(known) >= merging.UNIMPORTANT


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_file_is_what_the_library_writes_and_reads(
    dtype: torch.dtype | None, tmp_path: Path
) -> None:
    """Numbers of all sizes, an empty tensor and a scalar; each at a multiple of its size."""
    tensors = {
        "flags": torch.tensor([True, False, True]),
        "weights": torch.randn(3, 5),
        "scalar": torch.tensor(7, dtype=torch.int64),
        "half": torch.randn(2, 3).to(torch.float16),
        "empty": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "out").mkdir()
    options = merging.WriteOptions(dtype, 10**9, "cpu", lambda *_: None)
    merging.write(layout(tmp_path), {}, tmp_path / "out", options)
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert written.keys() == tensors.keys()
    for name, tensor in tensors.items():
        floats = tensor.is_floating_point() and dtype is not None
        wanted = tensor.to(dtype) if floats else tensor
        assert written[name].dtype == wanted.dtype
        assert torch.equal(written[name], wanted)
    for _, begin, header in headers(tmp_path / "out", "model"):
        assert begin % 8 == 0
        for name, entry in header.items():
            assert entry["data_offsets"][0] % written[name].itemsize == 0


def test_a_plain_merge_imports_no_peft(
    tiny_model_dir: Path, tmp_path: Path, workspace: Path
) -> None:
    """It is more than half of what the command would import, and quantization comes with it."""
    adapter = make_adapter(tiny_model_dir, tmp_path / "adapter")
    values = {
        "model_name_or_path": str(tiny_model_dir),
        "adapter_name_or_path": str(adapter),
        "export_dir": str(tmp_path / "merged"),
    }
    code = f"""
import sys
from pathlib import Path
from backend.contract.arguments.arguments import parse, resolve
from backend.export import export
export.run(resolve(parse({values!r}, "export")[0]), Path({str(tmp_path)!r}))
print(*(name for name in ("peft", "bitsandbytes", "datasets") if name in sys.modules))
"""
    environment = {**os.environ, "TUNEBOARD_HOME": str(workspace)}
    words = [sys.executable, "-c", code]
    child = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert child.stdout.strip() == ""
    assert (tmp_path / "merged" / "model.safetensors").is_file()


def test_an_adapter_given_as_the_model_brings_its_base(
    run: Exporter, tiny_model_dir: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(tiny_model_dir, tmp_path / "lora")
    result = logits(plainly(run(model_name_or_path=adapter)))
    assert (result - tuned(tiny_model_dir, adapter)).abs().max() < TOLERANCE


def test_several_adapters_are_merged_in_order(
    run: Exporter, tiny_model_dir: Path, tmp_path: Path
) -> None:
    first = make_adapter(tiny_model_dir, tmp_path / "first")
    second = make_adapter(tiny_model_dir, tmp_path / "second", use_rslora=True)
    result = logits(plainly(run(adapter_name_or_path=f"{first},{second}")))
    assert (result - tuned(tiny_model_dir, first, second)).abs().max() < TOLERANCE


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_files_stay_below_the_size_asked_for(
    run: Exporter,
    tiny_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    limit = 30_000  # bytes; the argument's own least value is more than the whole tiny model
    adapter = make_adapter(tiny_model_dir, tmp_path / kind, **ADAPTERS[kind])
    monkeypatch.setattr(export, "GIGABYTE", 100 * limit)
    folder = run(adapter_name_or_path=adapter, export_size=0.01)
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 2
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {file.name for file in files}
    for file in files:
        with safe_open(file, framework="pt") as weights:
            names = list(weights.keys())
            size = sum(weights.get_tensor(name).nbytes for name in names)
        assert size <= limit or len(names) == 1
    assert (logits(plainly(folder)) - tuned(tiny_model_dir, adapter)).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["", "lora", "dora"])
def test_dtype_is_written_and_recorded(
    run: Exporter, tiny_model_dir: Path, tmp_path: Path, name: str, kind: str
) -> None:
    options = {}
    if kind:
        adapter = make_adapter(tiny_model_dir, tmp_path / kind, **ADAPTERS[kind])
        options = {"adapter_name_or_path": adapter}
    folder = run(export_dtype=name, **options)
    assert json.loads((folder / "config.json").read_text())["dtype"] == name
    assert str(dtype_of(layout(folder))) == f"torch.{name}"
    assert str(plainly(folder).dtype) == f"torch.{name}"


def test_a_plain_model_keeps_its_dtype_and_every_number(
    run: Exporter, tiny_model_dir: Path
) -> None:
    folder = run()
    first, other = plainly(tiny_model_dir).state_dict(), plainly(folder).state_dict()
    assert all(torch.equal(first[name], other[name]) for name in first)
    assert first.keys() == other.keys()


def test_everything_else_is_in_the_folder(run: Exporter, tiny_model_dir: Path) -> None:
    folder = run()
    own = AutoTokenizer.from_pretrained(tiny_model_dir)
    read = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "Who are you?"}]
    assert read.apply_chat_template(messages, tokenize=False) == own.apply_chat_template(
        messages, tokenize=False
    )
    assert plainly(folder).generation_config.eos_token_id == own.eos_token_id
    card = (folder / "README.md").read_text()
    assert "base_model: tiny\n" in card
    assert str(tiny_model_dir.parent) not in card
    assert "library_name: transformers" in card


def test_modelfile_writes_the_prompt_of_the_chat_template(run: Exporter) -> None:
    text = (run() / "Modelfile").read_text()
    assert text.startswith("FROM .\n")
    assert (
        "<|im_start|>user\n{{ else }}<|im_end|>\n<|im_start|>user\n{{ end }}{{ .Content }}" in text
    )
    assert "{{ .Content }}<|im_end|>\n<|im_start|>assistant\n{{ else }}" in text
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}' in text
    assert 'PARAMETER stop "<|im_end|>"\nPARAMETER num_ctx 2048\n' in text


def test_modelfile_is_left_out_when_not_wanted(run: Exporter) -> None:
    assert not (run(export_modelfile=False) / "Modelfile").exists()


def test_a_folder_with_content_is_left_alone(run: Exporter, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(TuneboardError) as error:
        run(export_dir=target)
    assert code(error) == "export_dir_not_empty"
    assert [path.name for path in target.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_filled(run: Exporter, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert (run(export_dir=tmp_path / "empty") / "model.safetensors").is_file()


def test_pickle_files_are_refused(run: Exporter) -> None:
    with pytest.raises(TuneboardError) as error:
        run(export_legacy_format=True)
    assert code(error) == "export_legacy_format"


def test_a_quantized_base_is_refused(run: Exporter, tiny_model_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "quantized"
    copy.mkdir()
    for file in tiny_model_dir.iterdir():
        (copy / file.name).symlink_to(file)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").unlink()
    config["quantization_config"] = {"quant_method": "gptq"}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(TuneboardError) as error:
        run(model_name_or_path=copy)
    assert code(error) == "export_quantized"


def test_a_full_disk_is_said_with_numbers_before_anything_is_written(
    run: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_folder, "_free", lambda _: 10_000_000)
    with pytest.raises(TuneboardError) as error:
        run()
    assert code(error) == "export_disk_full"
    assert "50.1 MB" in str(error.value)
    assert "10 MB" in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["weights", "settings", "stop"])
def test_a_failure_or_stop_leaves_nothing(
    run: Exporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if where == "stop":
        (tmp_path / "run").mkdir()
        monkeypatch.setattr(
            Report, "phase", lambda self, name: run_folder.request_stop(self.folder)
        )
    else:
        target = {"weights": (merging, "_to_bytes"), "settings": (export, "_write_card")}[where]
        monkeypatch.setattr(*target, fail)
    with pytest.raises(Stopped if where == "stop" else TuneboardError) as error:
        run()
    if where != "stop":
        assert code(error) == "export_disk_full"
    assert list((tmp_path / "out").iterdir()) == []


def test_the_run_folder_tells_how_far_it_is(run: Exporter, tmp_path: Path) -> None:
    run()
    status = json.loads((tmp_path / "run" / run_folder.STATUS).read_text())
    assert status["phase"] == "saving"
    figures = json.loads((tmp_path / "run" / "all_results.json").read_text())
    assert figures["bytes"] > 100_000
