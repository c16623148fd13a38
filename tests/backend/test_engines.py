"""vLLM and SGLang are started with our arguments: stand-in programs record what they are given."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import check_parsed, parse, resolve
from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.preflight import check_engine, check_packages
from backend.serving import engines
from tests.failures.conftest import until

ROOT = Path(__file__).parents[2]
RECORDER = """
import json, os, sys, time
names = ("VLLM_API_KEY", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")
seen = {name: os.environ.get(name) for name in names}
config = [word for before, word in zip(sys.argv, sys.argv[1:]) if before == "--config"]
seen["config"] = open(config[0]).read() if config else None
template = [word for before, word in zip(sys.argv, sys.argv[1:]) if before == "--chat-template"]
seen["template"] = open(template[0]).read() if template else None
with open(os.environ["RECORD"] + ".part", "w") as file:
    json.dump({"argv": sys.argv[1:], "env": seen}, file)
os.rename(os.environ["RECORD"] + ".part", os.environ["RECORD"])
time.sleep(float(os.environ.get("LIVES", "0")))
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """An environment with a vllm on the PATH, a module sglang, and a GPU to be seen."""
    for name in ("bin", "lib/vllm", "lib/sglang"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lib/vllm/__init__.py").touch()
    (tmp_path / "lib/sglang/__init__.py").touch()
    (tmp_path / "lib/sglang/launch_server.py").write_text(RECORDER)
    program = tmp_path / "bin" / "vllm"
    program.write_text(f"#!{sys.executable}\n{RECORDER}")
    program.chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("API_")}
    return {
        **variables,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{tmp_path / 'lib'}{os.pathsep}{ROOT}",
        "RECORD": str(tmp_path / "record.json"),
        "CUDA_VISIBLE_DEVICES": "0,1",
    }


def api(
    env: dict[str, str], *words: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """`tuneboard api` with these words; what the stand-in was given."""
    done = subprocess.run(
        [sys.executable, "-m", "backend", "api", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads(Path(env["RECORD"]).read_text())


def test_vllm_gets_our_arguments(stand_ins: dict[str, str], tiny_model_dir: Path) -> None:
    _, seen = api(
        {**stand_ins, "API_KEY": "sesame", "API_PORT": "8123"},
        f"model_name_or_path={tiny_model_dir}",
        "infer_backend=vllm",
        "vllm_enforce_eager=true",
        "vllm_gpu_util=0.5",
        "trust_remote_code=true",
        'vllm_config={"tensor_parallel_size": 2, "enable_prefix_caching": false, "seed": "7"}',
    )
    assert seen["argv"] == [
        *("serve", str(tiny_model_dir), "--host", "127.0.0.1", "--port", "8123"),
        *("--dtype", "auto", "--revision", "main", "--max-model-len", "4096"),
        *("--gpu-memory-utilization", "0.5", "--served-model-name", "tiny"),
        *("--trust-remote-code", "--enforce-eager"),
        *("--tensor-parallel-size", "2", "--no-enable-prefix-caching", "--seed", "7"),
    ]
    assert seen["env"]["VLLM_API_KEY"] == "sesame"
    assert "sesame" not in " ".join(seen["argv"])
    assert (seen["env"]["VLLM_NO_USAGE_STATS"], seen["env"]["DO_NOT_TRACK"]) == ("1", "1")


def test_sglang_gets_our_arguments(stand_ins: dict[str, str], tiny_model_dir: Path) -> None:
    _, seen = api(
        {**stand_ins, "API_KEY": "sesame"},
        f"model_name_or_path={tiny_model_dir}",
        "infer_backend=sglang",
        "infer_dtype=float16",
        "sglang_maxlen=512",
        "api_model_name=mine",
    )
    *words, option, path = seen["argv"]
    assert words == [
        *("--model-path", str(tiny_model_dir), "--host", "127.0.0.1", "--port", "8000"),
        *("--dtype", "half", "--revision", "main", "--context-length", "512"),
        *("--mem-fraction-static", "0.7", "--tp-size", "2", "--served-model-name", "mine"),
    ]
    assert (option, seen["env"]["config"]) == ("--config", 'api-key: "sesame"\n')
    assert not Path(path).exists(), "the file with the key went with the server"


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_named_template_reaches_the_engine(
    engine: str, stand_ins: dict[str, str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    """One that is asked for, and the one that was trained with; else the model's own."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir, folder)
    words = [f"model_name_or_path={folder}", f"infer_backend={engine}"]
    _, seen = api(stand_ins, *words, "template=alpaca")
    assert "### Instruction:" in seen["env"]["template"]
    _, seen = api(stand_ins, *words)
    assert seen["env"]["template"] is None
    (folder / "tuneboard.json").write_text('{"template": "alpaca"}')
    _, seen = api(stand_ins, *words)
    assert "### Instruction:" in seen["env"]["template"]


def values(**options: object) -> Arguments:
    parsed, problems = parse(options, "api")
    assert not problems
    return resolve(parsed)


def adapter(folder: Path, base: Path) -> Path:
    folder.mkdir()
    content = {"base_model_name_or_path": str(base), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def test_the_tuned_model_has_its_name_and_the_base_is_base(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    """Whether the adapter is named beside its base or is itself the model's path."""
    lora = adapter(tmp_path / "lora", tiny_model_dir)
    tuned = values(model_name_or_path=str(tiny_model_dir), adapter_name_or_path=str(lora))
    other = values(model_name_or_path=str(lora))
    for command in (engines.vllm(tuned, "lora"), engines.vllm(other, "lora")):
        assert command[2] == str(tiny_model_dir)
        assert command[command.index("--served-model-name") + 1] == "base"
        assert command[-5:] == [
            *("--enable-lora", "--max-lora-rank", "32", "--lora-modules", f"lora={lora}")
        ]
    command = engines.sglang(tuned, "lora")
    assert command[-4:] == ["--lora-paths", f"lora={lora}", "--lora-backend", "triton"]


def test_a_hub_s_model_stays_a_hub_s_model() -> None:
    assert engines.vllm(values(model_name_or_path="owner/name"), "name")[2] == "owner/name"


def test_the_server_ends_with_ours(stand_ins: dict[str, str], tiny_model_dir: Path) -> None:
    """By SIGTERM, and with the page whose pipe is our standard input."""
    words = [f"model_name_or_path={tiny_model_dir}", "infer_backend=vllm"]
    env = {**stand_ins, "LIVES": "60", "API_WITH_PARENT": "1"}
    for end in (lambda one: one.send_signal(signal.SIGTERM), lambda one: one.stdin.close()):
        process = subprocess.Popen(
            [sys.executable, "-m", "backend", "api", *words], env=env, stdin=subprocess.PIPE
        )
        until(Path(env["RECORD"]).exists, 30)
        end(process)
        assert process.wait(10) == 128 + signal.SIGTERM
        Path(env["RECORD"]).unlink()
        if process.stdin and not process.stdin.closed:
            process.stdin.close()


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_what_an_engine_needs_is_said_at_once(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"infer_backend": engine}
    missing = [(p.code, p.field, dict(p.params)) for p in check_packages(resolve(chosen))]
    assert missing == [("package_missing", "infer_backend", {"package": engine})]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [p.code for p in check_engine(resolve(chosen))] == ["engine_needs_gpu"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert check_engine(resolve(chosen)) == []


@pytest.mark.parametrize(
    ("options", "task", "code"),
    [
        ({"quantization_bit": "4"}, "api", "not_with_engine"),
        ({"rope_scaling": "linear"}, "api", "not_with_engine"),
        ({"adapter_name_or_path": "a,b"}, "api", "one_adapter_with_engine"),
        ({"template": "llama3"}, "api", "engine_ignores"),
        ({"default_system": "be kind"}, "api", "engine_ignores"),
        ({}, "chat", "engine_only_serves"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(options: dict[str, str], task: str, code: str) -> None:
    raw = {"model_name_or_path": "m", "infer_backend": "vllm", **options}
    result, problems = parse(raw, task)
    assert code in [problem.code for problem in check_parsed(result, problems, task)]
    raw["infer_backend"] = "huggingface"
    result, problems = parse(raw, task)
    assert code not in [problem.code for problem in check_parsed(result, problems, task)]


@pytest.mark.parametrize("raw", ["[1]", "{", "tensor_parallel_size=2", 7, [1], {"a": {1, 2}}])
def test_further_options_are_a_json_object(raw: object) -> None:
    _, problems = parse({"vllm_config": raw}, "api")
    assert [problem.code for problem in problems] == ["not_json_object"]


def test_further_options_may_be_a_mapping_of_a_file() -> None:
    assert values(vllm_config={"a": 1}).vllm_config == '{"a": 1}'
    assert values(vllm_config="").vllm_config is None
