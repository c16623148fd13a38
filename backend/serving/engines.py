"""Start the OpenAI-compatible servers of vLLM and SGLang with our arguments.

Their libraries are not imported. The tuned model has its own name and the base is "base", as in our
own server.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from backend.contract.arguments.field import Value
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder, template_names
from backend.contract.models.devices import gpus
from backend.contract.models.model_folder import ADAPTER_CONFIG, is_hub_id, local
from backend.contract.registry.dataset_info import names
from backend.contract.texts.problems import Problem, UsageError

BASE = "base"
# Switches off their usage statistics.
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}

logger = logging.getLogger(__name__)


def run(values: Arguments, name: str, key: str | None) -> int:
    """Start the server of infer_backend and wait for its end; returns its exit code.

    The exit code is 128 + n where signal n ended it. `name` is the name of the model, `key` the
    bearer key for clients, which is passed in the environment or in a private file, never in the
    command. Raises UsageError where the program is not installed.

    The server is no `Child`: it stays in our group and on our terminal, so that Ctrl-C, and the
    SIGKILL of a page to the group of its model, reach both.
    """
    with tempfile.TemporaryDirectory(prefix="tuneboard-engine-") as folder:
        env = {**os.environ, **QUIET}
        if values.infer_backend == "vllm":
            argv = vllm(values, name)
            env |= {"VLLM_API_KEY": key} if key else {}
        else:
            argv = sglang(values, name)
            if key:
                path = Path(folder) / "key.yaml"
                path.touch(mode=0o600)
                path.write_text(f"api-key: {json.dumps(key)}\n")
                argv += ["--config", str(path)]
        if "--chat-template" not in argv:
            argv += _chat_template(values, Path(folder))
        try:
            child = subprocess.Popen(argv, env=env)
        except OSError as error:
            params = {"program": argv[0], "reason": error.strerror or str(error)}
            problem = Problem(code="engine_not_started", field="infer_backend", params=params)
            raise UsageError(problem) from error
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        if os.environ.get("API_WITH_PARENT"):
            threading.Thread(target=_end_with_parent, args=(child,), daemon=True).start()
        return _wait(child)


def vllm(values: Arguments, name: str) -> list[str]:
    """The command line of `vllm serve`."""
    base, adapter = _model(values)
    own = Path(sys.executable).with_name("vllm")
    argv = [str(own) if own.exists() else shutil.which("vllm") or "vllm", "serve", base]
    argv += _address(values)
    argv += ["--dtype", values.infer_dtype, "--revision", values.model_revision]
    argv += ["--max-model-len", str(values.vllm_maxlen)]
    argv += ["--gpu-memory-utilization", str(values.vllm_gpu_util)]
    argv += ["--served-model-name", BASE if adapter else name]
    argv += ["--download-dir", str(local(str(values.cache_dir)))] if values.cache_dir else []
    argv += ["--trust-remote-code"] if values.trust_remote_code else []
    argv += ["--enforce-eager"] if values.vllm_enforce_eager else []
    if adapter:
        argv += ["--enable-lora", "--max-lora-rank", str(values.vllm_max_lora_rank)]
        argv += ["--lora-modules", f"{name}={adapter}"]
    return argv + list(_options(values.vllm_config))


def sglang(values: Arguments, name: str) -> list[str]:
    """The command line of SGLang's server."""
    base, adapter = _model(values)
    argv = [sys.executable, "-m", "sglang.launch_server", "--model-path", base]
    argv += _address(values)
    argv += ["--dtype", _sglang_dtype(values), "--revision", values.model_revision]
    argv += ["--context-length", str(values.sglang_maxlen)]
    argv += ["--mem-fraction-static", str(values.sglang_mem_fraction)]
    size = values.sglang_tp_size
    argv += ["--tp-size", str(size if size > 0 else max(1, gpus()))]
    argv += ["--served-model-name", BASE if adapter else name]
    argv += ["--download-dir", str(local(str(values.cache_dir)))] if values.cache_dir else []
    argv += ["--trust-remote-code"] if values.trust_remote_code else []
    if adapter:
        argv += ["--lora-paths", f"{name}={adapter}"]
        argv += ["--lora-backend", values.sglang_lora_backend]
    return argv + list(_options(values.sglang_config))


def base_notices(values: Arguments) -> list[Problem]:
    """A notice where the adapter was trained on another base than the one that is served."""
    base, adapter = _model(values)
    if not adapter or is_hub_id(base):
        return []
    return model_folder.notices(Path(base), base, [Path(adapter)])


def _sglang_dtype(values: Arguments) -> str:
    names_of_theirs = {"float16": "half", "float32": "float"}
    return names_of_theirs.get(values.infer_dtype, values.infer_dtype)


def _model(values: Arguments) -> tuple[str, str]:
    """The base model and the adapter ("" for none); a model that is itself an adapter is both."""
    name = str(values.model_name_or_path)
    adapters = [str(local(each)) for each in names(values.adapter_name_or_path)]
    folder = local(name)
    if (folder / ADAPTER_CONFIG).is_file() and not (folder / "config.json").is_file():
        adapters, name = [str(folder), *adapters], model_folder.adapter_base(folder)
    return name if is_hub_id(name) else str(local(name)), adapters[0] if adapters else ""


def _chat_template(values: Arguments, folder: Path) -> list[str]:
    """The option with a template file, where a template was chosen or used in training."""
    name = template_names.template_of(values)
    if name == template_names.AUTO:
        name, _ = template_names.read(values)
    if name == template_names.AUTO:
        return []
    from backend.data import templates  # transformers: seconds
    from backend.model import load

    path = folder / "chat_template.jinja"
    template = templates.load(values, load.tokenizer(values))
    for notice in template.notices:
        logger.warning("%s", notice.text())
    path.write_text(template.jinja, encoding="utf-8")
    return ["--chat-template", str(path)]


def _address(values: Arguments) -> list[str]:
    return ["--host", values.host, "--port", str(values.port)]


def _options(config: Value) -> Iterator[str]:
    """Yield a JSON object as options: {"a_b": 1, "c": true, "d": false} is --a-b 1 --c --no-d."""
    for name, value in json.loads(str(config or "{}")).items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            yield f"--{option}"
            yield value if isinstance(value, str) else json.dumps(value)


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    """End the server when the page has ended, which holds the other end of our standard input."""
    while os.read(0, 65536):  # not sys.stdin: its lock would be held while the process ends
        pass
    child.terminate()


def _wait(child: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            code = child.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:  # the terminal has interrupted the child, too
            continue
