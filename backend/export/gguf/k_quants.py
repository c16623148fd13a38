"""K-quants (Q4_K_M and others) by llama.cpp's own program llama-quantize, where it is installed.

The package gguf reads these formats and cannot write them. The model is written as it is stored
first, beside the new folder, then converted.
"""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from backend.contract.arguments.fields.serving import K_QUANTS, QUANTIZER
from backend.contract.texts.problems import ModelError, Problem
from backend.running.failures import Stopped
from backend.running.report import Report

STORED = {torch.float16: "f16", torch.bfloat16: "bf16"}
LOOK = 0.5  # seconds between looks at whether the run is to stop


def source_kind(kind: str, dtype: torch.dtype) -> str:
    """The number format that is written first: `kind`, or that of the model where it is one of
    K_QUANTS."""
    return STORED.get(dtype, "f32") if kind in K_QUANTS else kind


def quantize(source: Path, target: Path, kind: str, report: Report) -> None:
    """Convert a GGUF file with llama-quantize, and remove it.

    Raises ModelError with its last line where it fails, and Stopped.
    """
    program = shutil.which(QUANTIZER)
    assert program is not None, "preflight has looked"
    argv = [program, str(source), str(target), kind.upper()]
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as child:
            try:
                while child.poll() is None:
                    report.beat()
                    if report.stop_requested():
                        raise Stopped
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(LOOK)
            finally:
                child.kill()
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").strip().splitlines()
    if child.returncode or not target.is_file():
        params = {"name": QUANTIZER, "kind": kind, "reason": lines[-1][:300] if lines else "-"}
        raise ModelError(Problem(code="gguf_quantize_failed", field="gguf_type", params=params))
    source.unlink()
