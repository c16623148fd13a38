"""GGUF files: a real llama.cpp and transformers read and answer as the model that was exported."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.fields.serving import GGUF_TYPES
from backend.contract.texts.problems import TuneboardError
from backend.export import export
from backend.export.gguf import weights
from tests import bench_export
from tests.backend import tokenizer_kinds
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.llama_cpp import LIBRARIES, needs_llama_cpp, read
from tests.backend.test_export import ADAPTERS, make_adapter

TEXT = (
    "<|im_start|>user\nWho are you? It's 2024,  and\t\tthe   capital of France is 12345.\n\n"
    "今天天气很好。 été … I'LL don't x=[1, 2];\n    indented<|im_end|>\n<|im_start|>assistant\n"
)
NEAR = 0.05  # logits that llama.cpp, whose cache is in float16, may take for equal
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 256,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
    "long_factor": [2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7],
    "original_max_position_embeddings": 512,
}
GEMMA = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 24}
# name: class, tokenizer, settings
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "chatml", {"tie_word_embeddings": True}),
    "calm": ("Llama", "chatml", {"initializer_range": 0.05}),
    "llama-untied": ("Llama", "chatml", {"attention_bias": True, "head_dim": 32}),
    "llama3": ("Llama", "llama3", {"rope_parameters": LLAMA3_ROPE}),
    "llama-linear": (
        "Llama",
        "chatml",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 5e4, "factor": 2.0}},
    ),
    "wide": (
        "Llama",
        "chatml",
        {"hidden_size": 256, "intermediate_size": 512, "initializer_range": 0.05},
    ),
    "smollm": ("Llama", "smollm", {}),
    "mistral": ("Mistral", "llama2", {"sliding_window": None}),
    "qwen2": ("Qwen2", "qwen", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3", "qwen", {"head_dim": 32}),
    "phi3": ("Phi3", "llama2", {"sliding_window": None, "pad_token_id": 0}),
    "phi3-long": ("Phi3", "llama2", {"rope_parameters": LONGROPE, "pad_token_id": 0}),
    "gemma2": ("Gemma2", "gemma", GEMMA),
    "gemma3": ("Gemma3Text", "gemma", {**GEMMA, "num_hidden_layers": 7}),
}


def tokenizer_of(kind: str) -> Any:
    if kind == "chatml":
        return make_tokenizer()
    if kind in {"llama3", "smollm"}:
        made = make_tokenizer()
        content = json.loads(made.backend_tokenizer.to_str())
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        if kind == "smollm":
            first = {"type": "Digits", "individual_digits": True}
        else:
            pattern = tokenizer_kinds.QWEN_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
            assert pattern != tokenizer_kinds.QWEN_SPLIT
            first = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
            first |= {"invert": False}
            content["model"]["ignore_merges"] = True
        parts = [first, {**byte_level, "use_regex": kind == "smollm"}]
        content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
        made._tokenizer = type(made.backend_tokenizer).from_str(json.dumps(content))
        return made
    return tokenizer_kinds.make(kind, ["<|im_start|>", "<|im_end|>"], CHATML)


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a tiny random model, once for each name. Read only."""
    folders: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in folders:
            family, kind, settings = MODELS[name]
            tokenizer = tokenizer_of(kind)
            folders[name] = tmp_path_factory.mktemp("gguf") / name
            whole = SIZES | {
                "vocab_size": len(tokenizer) + 3,
                "tie_word_embeddings": "emma" in family,
                "eos_token_id": tokenizer.eos_token_id,
                "bos_token_id": None,
            }
            config = getattr(transformers, f"{family}Config")(**whole | settings)
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(config).save_pretrained(folders[name])
            tokenizer.save_pretrained(folders[name])
        return folders[name]

    return make


@pytest.fixture
def run(tmp_path: Path, workspace: Path) -> Callable[..., Path]:
    """Export a model as GGUF with these arguments; returns the file."""

    def call(model: Path, kind: str = "f32", **options: Any) -> Path:
        target = tmp_path / "out" / f"my-{kind}"
        arguments = {
            "model_name_or_path": model,
            "export_dir": target,
            "export_format": "gguf",
            "gguf_type": kind,
            **options,
        }
        values, problems = parse({key: str(each) for key, each in arguments.items()}, "export")
        assert [problem for problem in problems if not problem.notice] == []
        (tmp_path / "run").mkdir(exist_ok=True)
        export.run(resolve(values), tmp_path / "run")
        return target / f"my-{kind}-{kind.upper()}.gguf"

    return call


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    """[length, vocabulary], with the numbers of attention computed as usual."""
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits[0].float()


def loss_of_choices(model: Any, ids: list[int], choices: list[int]) -> torch.Tensor:
    """How far the logit of each choice is below the best behind each of the last ids."""
    scores = logits(model, ids)[-len(choices) :]
    return scores.max(-1).values - scores[range(len(choices)), choices]


@needs_llama_cpp
@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_reads_and_answers_as_transformers(
    run: Callable[..., Path], model_of: Callable[[str], Path], name: str
) -> None:
    folder = model_of(name)
    reading = read(run(folder), TEXT, count=64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert reading.tokens == tokenizer(TEXT)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert loss_of_choices(model, reading.tokens, reading.top).max() < NEAR
    ids = [*reading.tokens, *reading.answer]
    assert loss_of_choices(model, ids[:-1], reading.answer).max() < NEAR
    assert len(reading.answer) > 30 or reading.answer[-1] == tokenizer.eos_token_id


@needs_llama_cpp
@pytest.mark.parametrize("kind", GGUF_TYPES)
def test_llama_cpp_answers_with_each_number_format(
    run: Callable[..., Path], model_of: Callable[[str], Path], kind: str
) -> None:
    """A q8_0 file of the starter model once answered otherwise in llama.cpp than in transformers.

    llama.cpp rounds what it multiplies quantized weights with, too: to 8 bits, in blocks of 32
    with a common scale. Where transformers does the same, both choose the same tokens, but for the
    few whose rounding falls to the other side.
    """
    file = run(model_of("llama"), kind)
    reading = read(file, TEXT)
    model = load(file)
    if kind.startswith("q"):
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_pre_hook(lambda _, inputs: (round_blocks(inputs[0]),))
    losses = loss_of_choices(model, reading.tokens, reading.top)
    assert losses.mean() < NEAR / 5
    assert kind.startswith("q") or losses.max() < NEAR


def round_blocks(numbers: torch.Tensor, width: int = 32) -> torch.Tensor:
    """The numbers as llama.cpp rounds what it multiplies quantized weights with."""
    blocks = numbers.reshape(-1, width)
    scale = (blocks.abs().amax(-1, keepdim=True) / 127).clamp_min(1e-20)
    scale = scale.half().float() if width == 32 else scale
    return ((blocks / scale).round().clamp(-128, 127) * scale).reshape(numbers.shape)


@pytest.fixture
def quantizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """llama-quantize on PATH: its command line is a stand-in, what quantizes is llama.cpp's own
    library, since no package has the program itself."""
    program = tmp_path / "bin" / "llama-quantize"
    program.parent.mkdir()
    script = Path(__file__).with_name("llama_quantize.py")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "{LIBRARIES}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


# The format of most tensors, and the largest error of a logit in parts of their deviation.
K_ERRORS = {
    "q6_k": ("Q6_K", 0.4),
    "q5_k_m": ("Q5_K", 0.7),
    "q4_k_m": ("Q4_K", 1.5),
    "q2_k": ("Q2_K", 4.0),
}


@needs_llama_cpp
@pytest.mark.parametrize("kind", K_ERRORS)
def test_llama_cpp_makes_k_quants_and_answers_with_them(
    run: Callable[..., Path], model_of: Callable[[str], Path], quantizer: Path, kind: str
) -> None:
    """About as exact as the formats of as many bits that the package gguf writes: q5_0 errs by 0.62
    here, q4_0 by 1.25."""
    folder = model_of("wide")
    file = run(folder, kind)
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(
        [file.name, "Modelfile", "README.md"]
    )
    name, most = K_ERRORS[kind]
    formats = [each.tensor_type.name for each in gguf.GGUFReader(file).tensors]
    assert max(set(formats) - {"F32"}, key=formats.count) == name
    reading = read(file, TEXT)
    model = load(file)
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = logits(whole, reading.tokens)
    error = (logits(model, reading.tokens) - wanted).abs().max() / wanted.std()
    assert 0 < error < most
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs: (round_blocks(inputs[0], 256),))
    assert loss_of_choices(model, reading.tokens, reading.top).mean() < NEAR / 5


def test_k_quants_without_llama_cpp_say_what_to_install(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TuneboardError) as error:
        run(model_of("llama"), "q4_k_m")
    assert error.value.problems[0].code == "gguf_no_quantizer"
    assert not (tmp_path / "out").exists()


def test_a_quantizer_that_fails_is_quoted_and_leaves_nothing(
    run: Callable[..., Path], model_of: Callable[[str], Path], tmp_path: Path, quantizer: Path
) -> None:
    quantizer.write_text("#!/bin/sh\necho reading; echo no such format; exit 1\n")
    with pytest.raises(TuneboardError) as error:
        run(model_of("llama"), "q4_k_m")
    assert error.value.problems[0].code == "gguf_quantize_failed"
    assert error.value.problems[0].params["reason"] == "no such format"
    assert list((tmp_path / "out").iterdir()) == []


def load(file: Path) -> Any:
    """The model as transformers reads it from GGUF."""
    return AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )


# The largest error of a logit, in parts of their standard deviation.
ERRORS = {
    "f32": 1e-5,
    "f16": 0.004,
    "bf16": 0.04,
    "q8_0": 0.12,
    "q5_1": 0.7,
    "q5_0": 0.7,
    "q4_1": 1.0,
    "q4_0": 1.0,
}


@pytest.mark.parametrize("kind", GGUF_TYPES)
def test_transformers_reads_it_back(
    run: Callable[..., Path], model_of: Callable[[str], Path], kind: str
) -> None:
    folder = model_of("calm")
    ids = AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    wanted = logits(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), ids)
    file = run(folder, kind)
    error = (logits(load(file), ids) - wanted).abs().max() / wanted.std()
    assert error < ERRORS[kind]
    assert kind == "f32" or error > 0
    reader = gguf.GGUFReader(file)
    assert {each.tensor_type.name for each in reader.tensors if len(each.shape) == 1} == {"F32"}
    embeddings = next(each for each in reader.tensors if each.name == "token_embd.weight")
    coarse = kind.startswith(("q4", "q5"))
    assert embeddings.tensor_type.name == ("Q8_0" if coarse else kind.upper())


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_adapters_are_merged(
    run: Callable[..., Path], model_of: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    folder = model_of("llama")
    adapter = make_adapter(folder, tmp_path / kind, **ADAPTERS[kind])
    ids = AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = logits(PeftModel.from_pretrained(base, adapter), ids)
    file = run(folder, adapter_name_or_path=adapter)
    assert (logits(load(file), ids) - wanted).abs().max() < 1e-3
    assert sorted(path.name for path in file.parent.iterdir()) == sorted(
        [file.name, "Modelfile", "README.md"]
    )
    assert (file.parent / "Modelfile").read_text().startswith(f"FROM ./{file.name}\n")
    assert f"llama-server -m {file.name}" in (file.parent / "README.md").read_text()


@needs_llama_cpp
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("llama", ["lora"]),
        ("llama", ["lora", "rslora"]),
        ("qwen3", ["rslora"]),
        ("phi3", ["lora"]),
        ("gemma3", ["lora"]),
    ],
)
def test_llama_cpp_answers_with_a_lora_as_with_the_merged_model(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    kinds: list[str],
) -> None:
    """Rows of q and k in another order, a scale by the square root, several adapters as one."""
    folder = model_of(name)
    adapters = [
        make_adapter(folder, tmp_path / f"{kind}{number}", r=3 + number, **ADAPTERS[kind])
        for number, kind in enumerate(kinds)
    ]
    named = ",".join(str(each) for each in adapters)
    target = tmp_path / "out" / "mine"
    run(folder, adapter_name_or_path=named, export_format="gguf_lora", export_dir=target)
    lora = target / "mine-LoRA-F32.gguf"
    assert sorted(path.name for path in target.iterdir()) == ["README.md", lora.name]
    assert f"llama-server -m {name}.gguf --lora {lora.name}" in (target / "README.md").read_text()
    base = run(folder)
    plain = read(base, TEXT)
    reading = read(base, TEXT, count=32, adapter=lora)
    assert reading.top != plain.top
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for each in adapters:
        model = PeftModel.from_pretrained(model, each).merge_and_unload()
    assert loss_of_choices(model, reading.tokens, reading.top).max() < NEAR
    ids = [*reading.tokens, *reading.answer]
    assert loss_of_choices(model, ids[:-1], reading.answer).max() < NEAR


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("dora", "use_dora"),
        ("ranks", "alpha_pattern"),
        ("pissa", "init_lora_weights"),
        ("saved_head", "modules_to_save"),
        ("embedding", "base_model.model.model.embed_tokens"),
    ],
)
def test_an_adapter_that_a_lora_file_has_no_place_for_is_refused(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    kind: str,
    setting: str,
) -> None:
    folder = model_of("llama")
    adapter = make_adapter(folder, tmp_path / kind, **ADAPTERS[kind])
    with pytest.raises(TuneboardError) as error:
        run(folder, adapter_name_or_path=adapter, export_format="gguf_lora")
    assert error.value.problems[0].code == "gguf_lora_kind"
    assert str(error.value.problems[0].params["name"]).startswith(setting)
    assert not (tmp_path / "out").exists()


def test_a_lora_file_without_an_adapter_is_refused(
    run: Callable[..., Path], model_of: Callable[[str], Path]
) -> None:
    with pytest.raises(TuneboardError) as error:
        run(model_of("llama"), export_format="gguf_lora")
    assert error.value.problems[0].code == "gguf_lora_no_adapter"


def test_blocks_of_rows_give_the_same_file(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only a block of rows is in memory, also where heads are interleaved and adapters added."""
    folder = model_of("llama")
    adapter = make_adapter(folder, tmp_path / "lora")
    whole = run(folder, "q8_0", adapter_name_or_path=adapter)
    monkeypatch.setattr(weights, "BLOCK", 64 * 20)
    target = tmp_path / "again" / "my-q8_0"
    blocks = run(folder, "q8_0", adapter_name_or_path=adapter, export_dir=target)
    assert (target / blocks.name).read_bytes() == whole.read_bytes()


def test_memory_holds_no_more_than_a_part_of_the_model(
    model_of: Callable[[str], Path], tmp_path: Path, workspace: Path
) -> None:
    """A quantized file of a model of 1.1 GB, all zeros that take no place on the disk.

    The limit is 1.3 times the largest tensor and 500 MB. The 500 MB hold a block of numbers in
    float32 (BLOCK, 67 MB), what gguf makes of it in quantizing, the tokenizer, and the pages of the
    model's file that are mapped while they are read.
    """
    folder = copy_of(model_of("llama"), tmp_path / "large")
    config = json.loads((folder / "config.json").read_text())
    config |= {"intermediate_size": 64 * 4096, "num_hidden_layers": 5}
    (folder / "config.json").write_text(json.dumps(config))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(transformers.LlamaConfig(**config))
    weights = folder / "model.safetensors"
    weights.unlink()
    entries, end = {}, 0
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            span = [end, end + weight.numel() * 4]
            entries[name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": span}
            end = span[1]
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(weights, 8 + len(header) + end)
    limit = 1.3 * bench_export.largest_tensor(folder) + 500e6
    assert end > 1.5 * limit
    growth = bench_export.measure_export(
        tmp_path, folder, export_format="gguf", gguf_type="q8_0", export_dir=str(tmp_path / "made")
    )
    assert (tmp_path / "made" / "made-Q8_0.gguf").stat().st_size > end / 4
    assert growth < limit


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("llama", {"hidden_act": "gelu"}, "gguf_setting"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "gguf_setting"),
        ("gemma2", {"query_pre_attn_scalar": 99}, "gguf_setting"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    run: Callable[..., Path],
    model_of: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    change: dict[str, Any],
    code: str,
) -> None:
    copy = copy_of(model_of(name), tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(TuneboardError) as error:
        run(copy)
    assert error.value.problems[0].code == code
    assert not (tmp_path / "out").exists()


def test_an_architecture_that_is_not_covered_is_refused_by_name(
    run: Callable[..., Path], tmp_path: Path
) -> None:
    tokenizer = make_tokenizer()
    config = transformers.HeliumConfig(**SIZES, vocab_size=len(tokenizer), pad_token_id=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "helium")
    tokenizer.save_pretrained(tmp_path / "helium")
    with pytest.raises(TuneboardError) as error:
        run(tmp_path / "helium")
    assert error.value.problems[0].code == "gguf_architecture"
    assert error.value.problems[0].params["architecture"] == "HeliumForCausalLM"
    assert not (tmp_path / "out").exists()


def test_a_pattern_without_a_name_in_llama_cpp_is_refused(
    run: Callable[..., Path], model_of: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = copy_of(model_of("llama3"), tmp_path / "copy")
    content = (copy / "tokenizer.json").read_text()
    changed = content.replace("{1,3}", "{1,2}")
    assert changed != content
    (copy / "tokenizer.json").write_text(changed)
    with pytest.raises(TuneboardError) as error:
        run(copy)
    assert error.value.problems[0].code == "gguf_tokenizer"


def copy_of(folder: Path, copy: Path) -> Path:
    """A copy whose small files may be changed."""
    copy.mkdir()
    for file in folder.iterdir():
        if file.suffix == ".safetensors":
            (copy / file.name).symlink_to(file)
        else:
            (copy / file.name).write_bytes(file.read_bytes())
    return copy
