"""Export in few bits (a stand-in for gptqmodel does the rounding) and to the hub."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from backend.contract.arguments.arguments import check_parsed, parse, resolve
from backend.contract.arguments.fields.serving import GPTQ_BITS
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.preflight.preflight import check_export, check_packages
from backend.contract.runs import run_folder
from backend.contract.texts.problems import DataError, UsageError
from backend.export import export, gptq
from tests.fakes.hub import serving

ROOT = Path(__file__).parents[2]


class Quantizer(ModuleType):
    """Stands in for the package gptqmodel: keeps what it is given, writes the model as it is."""

    def __init__(self) -> None:
        super().__init__("gptqmodel")
        self.settings: dict[str, Any] = {}
        self.rows: list[Any] = []
        self.base = ""
        self.GPTQModel = self

    def QuantizeConfig(self, **options: Any) -> dict[str, Any]:
        self.settings = options
        return options

    def load(self, base: str, _config: Any, **_: Any) -> "Quantizer":
        self.base = base
        return self

    def quantize(self, rows: list[Any], **_: Any) -> None:
        self.rows = rows

    def save(self, made: str) -> None:
        for name in ("model.safetensors", "config.json"):
            shutil.copy(Path(self.base) / name, made)
        config = json.loads((Path(made) / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "gptq", "bits": self.settings["bits"]}
        (Path(made) / "config.json").write_text(json.dumps(config))
        (Path(made) / "quant_log.csv").write_text("a log")


@pytest.fixture
def quantizer(monkeypatch: pytest.MonkeyPatch) -> Quantizer:
    module = Quantizer()
    monkeypatch.setitem(sys.modules, "gptqmodel", module)
    return module


def values(model: Path, home: Path, **options: Any) -> Arguments:
    raw = {"model_name_or_path": str(model), "export_dir": str(home / "out"), **options}
    parsed, problems = parse({key: str(value) for key, value in raw.items()}, "export")
    assert not problems
    return resolve(parsed)


@pytest.fixture
def texts(workspace: Path) -> Path:
    path = workspace / "texts.jsonl"
    rows = [{"text": f"The fine weather of day {day} is fine."} for day in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def export_in_4_bits(model: Path, home: Path, texts: Path, *, samples: int, length: int) -> None:
    """Quantize over so many windows of the texts, each of so many tokens, into out/."""
    (home / "saves" / "run").mkdir()
    options = values(
        model,
        home,
        export_quantization_bit=4,
        export_quantization_dataset=texts,
        export_quantization_nsamples=samples,
        export_quantization_maxlen=length,
    )
    export.run(options, home / "saves" / "run")


def test_the_sample_texts_are_cut_into_windows(
    quantizer: Quantizer, workspace: Path, tiny_model_dir: Path, texts: Path
) -> None:
    export_in_4_bits(tiny_model_dir, workspace, texts, samples=5, length=16)
    assert quantizer.settings == {"bits": 4, "group_size": 32, "device": "cpu"}
    assert [tuple(row["input_ids"].shape) for row in quantizer.rows] == [(1, 16)] * 5
    assert all(row["attention_mask"].all() for row in quantizer.rows)
    made = workspace / "out"
    assert json.loads((made / "config.json").read_text())["quantization_config"]["bits"] == 4
    assert not (made / "quant_log.csv").exists()
    assert "GPTQ 4 bit" in (made / "README.md").read_text()
    assert (made / "tokenizer.json").is_file()
    assert not model_folder.model_problems(str(made))
    size = (made / "model.safetensors").stat().st_size
    assert json.loads((workspace / "saves/run" / run_folder.RESULTS).read_text())["bytes"] == size


@pytest.mark.skipif(not importlib.util.find_spec("gptqmodel"), reason="needs the extra gptq")
def test_the_real_package_writes_a_model_that_answers_as_its_base(
    workspace: Path, tiny_model_dir: Path, texts: Path
) -> None:
    """Run with gptqmodel 7.6.0 and optimum 2.3.0 on the CPU; the logits' cosine was 0.999."""
    from transformers import AutoModelForCausalLM

    export_in_4_bits(tiny_model_dir, workspace, texts, samples=8, length=64)
    ids = torch.arange(10, 30)[None]
    folders = (tiny_model_dir, workspace / "out")
    with torch.no_grad():
        base, small = (
            AutoModelForCausalLM.from_pretrained(each).eval()(ids).logits.float().flatten()
            for each in folders
        )
    assert torch.cosine_similarity(base, small, dim=0) > 0.99


def test_a_column_text_goes_before_the_others(workspace: Path, tiny_tokenizer: Any) -> None:
    path = workspace / "rows.jsonl"
    path.write_text('{"text": "fine", "other": "bad"}\n{"one": "a", "number": 3, "two": "b"}\n')
    assert list(gptq._texts(path)) == ["fine", "a\nb"]


def test_sample_texts_without_a_text_are_named(workspace: Path, tiny_tokenizer: Any) -> None:
    path = workspace / "rows.jsonl"
    path.write_text('{"number": 3}\n')
    result = values(workspace, workspace, export_quantization_dataset=path)
    with pytest.raises(DataError) as caught:
        gptq.samples(tiny_tokenizer, result)
    assert caught.value.problems[0].code == "export_calibration_empty"


def test_what_quantizing_needs_is_said_at_once(workspace: Path, tiny_model_dir: Path) -> None:
    def codes(**options: Any) -> set[tuple[str, str]]:
        result = values(tiny_model_dir, workspace, export_quantization_bit=4, **options)
        problems = (
            check_parsed(result.as_mapping(), [], "export")
            + check_export(result)
            + check_packages(result)
        )
        return {(problem.code, problem.field) for problem in problems}

    dataset, bit = "export_quantization_dataset", "export_quantization_bit"
    assert codes() == {("export_quantization_dataset_required", dataset), ("package_missing", bit)}
    assert ("export_calibration_missing", dataset) in codes(**{dataset: workspace / "none"})
    both = {dataset: workspace, "adapter_name_or_path": "a"}
    assert ("export_quantization_and_adapter", bit) in codes(**both)


def test_an_adapter_s_own_folder_is_refused_too(
    workspace: Path, tiny_model_dir: Path, texts: Path
) -> None:
    """Named as the model, no rule over the arguments can see that it is an adapter."""
    from tests.backend.test_export import make_adapter

    adapter = make_adapter(tiny_model_dir, workspace / "adapter")
    more = {"export_quantization_bit": 4, "export_quantization_dataset": texts}
    with pytest.raises(UsageError) as caught:
        export.run(values(adapter, workspace, **more), workspace)
    assert caught.value.problems[0].code == "export_quantization_and_adapter"
    assert not (workspace / "out").exists()


def exported(
    model: Path, home: Path, endpoint: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    """`tuneboard export` to a hub at this address; the process, and the problems it told."""
    words = [f"model_name_or_path={model}", f"export_dir={home / 'out'}"]
    env = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_sesame"}
    done = subprocess.run(
        [sys.executable, "-m", "backend", "export", *words, "export_hub_model_id=birds/small"],
        env={**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    result = (home / "saves").rglob(run_folder.PROBLEM)
    return done, [json.loads(path.read_text()) for path in result]


def test_an_export_is_uploaded(workspace: Path, tiny_model_dir: Path) -> None:
    with serving() as hub:
        done, _ = exported(tiny_model_dir, workspace, hub.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(hub.made) == {"birds/small"}
    local = {path.name for path in (workspace / "out").iterdir()}
    assert set(hub.files) - {".gitattributes"} == local
    weights = (workspace / "out" / "model.safetensors").read_bytes()
    assert hub.files["model.safetensors"] == weights


def test_an_export_stays_where_no_hub_is(workspace: Path, tiny_model_dir: Path) -> None:
    done, problems = exported(tiny_model_dir, workspace, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert [(each["code"], each["field"]) for each in problems] == [
        ("hub_push_unreachable", "export_hub_model_id")
    ]
    assert not model_folder.model_problems(str(workspace / "out"))


@pytest.mark.parametrize("bits", GPTQ_BITS)
def test_every_number_of_bits_is_passed_on(
    bits: str, quantizer: Quantizer, tiny_model_dir: Path, tiny_tokenizer: Any, texts: Path
) -> None:
    more = {"export_quantization_bit": bits, "export_quantization_dataset": texts}
    result = values(tiny_model_dir, texts.parent, **more)
    gptq.quantize(tiny_model_dir, texts.parent / "saves", tiny_tokenizer, result)
    assert quantizer.settings["bits"] == int(bits)
