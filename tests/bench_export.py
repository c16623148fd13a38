"""Peak memory of exports, against plain transformers that loads a model and saves it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from app.services.models.catalog import STARTER
from backend.contract.models.model_folder import headers

ROOT = Path(__file__).parents[1]
MB = 10**6
MEASURED = """
import resource
from pathlib import Path
{imports}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{work}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
OURS = """
from backend.contract.arguments.arguments import parse, resolve
from backend.export import export
from backend.export.gguf import gguf_file, lora_file
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM
"""
THEIRS = """
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
"""


def measure(imports: str, work: str, home: Path) -> int:
    """Bytes by which the peak memory of a process grows over its imports.

    Pages of the model's file that are mapped into memory count as well.
    """
    code = MEASURED.format(imports=imports, work=work)
    env = {**os.environ, "TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def measure_export(home: Path, model: Path, **options: str) -> int:
    """The growth of an export with these arguments, in bytes."""
    values = {"model_name_or_path": str(model), "export_dir": "measured", **options}
    (home / "run").mkdir(exist_ok=True)
    run = f"export.run(resolve(parse({values!r}, 'export')[0]), Path({str(home / 'run')!r}))"
    return measure(OURS, run, home)


def measure_plain(home: Path, model: Path) -> int:
    """The growth of transformers' own load and save of model and tokenizer, in bytes."""
    target = str(home / "plain")
    work = (
        f"model = AutoModelForCausalLM.from_pretrained({str(model)!r}, dtype='auto')\n"
        f"model.save_pretrained({target!r})\n"
        f"AutoTokenizer.from_pretrained({str(model)!r}).save_pretrained({target!r})"
    )
    return measure(THEIRS, work, home)


def largest_tensor(model: Path) -> int:
    """Bytes of the largest tensor in a model's files."""
    spans = (
        entry["data_offsets"] for *_, header in headers(model, "model") for entry in header.values()
    )
    return max(end - begin for begin, end in spans)


def export_memory() -> None:
    """Each way to write the starter model: the growth, as parts of the whole model and of that of
    transformers, then all as JSON. A peak is the same each time, so that one run of each does."""
    model = ROOT / "saves" / "models" / STARTER
    size = (model / "model.safetensors").stat().st_size
    print(f"model {size / MB:.0f} MB, largest tensor {largest_tensor(model) / MB:.0f} MB")
    ways: dict[str, dict[str, str]] = {
        "safetensors": {},
        **{
            f"gguf {kind}": {"export_format": "gguf", "gguf_type": kind} for kind in ("f16", "q8_0")
        },
    }
    growths: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as home:
        plain = measure_plain(Path(home), model)
    for name, options in ways.items():
        with tempfile.TemporaryDirectory() as home:
            growths[name] = measure_export(Path(home), model, **options)
    growths["transformers, load and save"] = plain
    print(f"{'':28}{'peak MB':>9}{'of model':>10}{'ratio':>7}")
    for name, growth in growths.items():
        print(f"{name:28}{growth / MB:9.0f}{growth / size:10.2f}{growth / plain:7.2f}")
    print(json.dumps({"bench": "export_memory", **growths}))
