"""The command line of llama-quantize over llama.cpp's library: LIBRARIES SOURCE TARGET TYPE."""

import ctypes
import sys
from pathlib import Path

import gguf


class Settings(ctypes.Structure):
    """The head of llama_model_quantize_params (llama.h), and more room than the rest takes."""

    _fields_ = (
        ("threads", ctypes.c_int32),
        ("file_type", ctypes.c_int32),
        ("rest", ctypes.c_ubyte * 248),
    )


def main(libraries: str, source: str, target: str, kind: str) -> int:
    """Quantize a file; returns the library's status."""
    folder = next(Path(libraries).glob("*/bins/*/libllama.*")).parent
    for name in ("libggml-base.*", "libggml.*"):
        ctypes.CDLL(str(next(folder.glob(name))), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(next(folder.glob("libggml.*"))))
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    llama = ctypes.CDLL(str(next(folder.glob("libllama.*"))))
    llama.llama_backend_init()
    llama.llama_model_quantize_default_params.restype = Settings
    settings = llama.llama_model_quantize_default_params()
    settings.threads = 1
    settings.file_type = int(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    status = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(settings))
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
