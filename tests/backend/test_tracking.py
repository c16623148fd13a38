"""SwanLab and the hub: who else is told of a run, and what happens where they do not listen."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.command import Command
from backend.contract.preflight.preflight import check_packages, check_token
from tests.backend.conftest import write_dataset
from tests.backend.training import ROWS
from tests.fakes.hub import serving

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"
SHORT = {"max_steps": 2, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}


def train(
    home: Path, model: Path, env: dict[str, str], **given: Any
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """`tuneboard train` of two steps, through the front door; the process and the run's folder."""
    if not (home / "data" / "sums.json").exists():
        write_dataset(home, "sums", ROWS)
    folder = home / "saves" / "tiny" / "lora" / "told"
    given = {"model_name_or_path": model, "dataset": "sums", **SHORT, **given}
    words = [f"{name}={value}" for name, value in given.items()]
    path = os.pathsep.join([*filter(None, [env.pop("PYTHONPATH", "")]), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "backend", "train", f"output_dir={folder}", *words],
        env={**os.environ, "TUNEBOARD_HOME": str(home), **env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done, folder


def problem(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "problem.json").read_text())


def test_swanlab_is_told_and_secrets_stay_in_the_environment(
    workspace: Path, tiny_model_dir: Path
) -> None:
    record = workspace / "record.jsonl"
    env = {"PYTHONPATH": str(FAKES), "SWANLAB_RECORD": str(record), "SWANLAB_API_KEY": "right"}
    secrets = {
        "SWANLAB_LARK_WEBHOOK_URL": "https://lark.example/hook",
        "SWANLAB_LARK_SECRET": "sesame",
    }
    done, folder = train(
        workspace,
        tiny_model_dir,
        {**env, **secrets},
        use_swanlab=True,
        swanlab_project="birds",
        swanlab_workspace="us",
        logging_steps=1,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert rows[0] == {
        "what": "callbacks",
        "webhook": "https://lark.example/hook",
        "secret": "sesame",
    }
    assert rows[1] == {
        "what": "init",
        "callbacks": ["SwanLabCallback"],
        "project": "birds",
        "workspace": "us",
        "experiment_name": "told",
        "mode": "online",
        "log_dir": str(folder / "swanlog"),
    }
    assert [row["step"] for row in rows if row["what"] == "log" and row["loss"]] == [1, 2]
    for file in folder.iterdir():
        if file.is_file():
            assert b"sesame" not in file.read_bytes(), file


def test_a_key_that_swanlab_refuses_is_said_before_the_training(
    workspace: Path, tiny_model_dir: Path
) -> None:
    env = {
        "PYTHONPATH": str(FAKES),
        "SWANLAB_RECORD": str(workspace / "r"),
        "SWANLAB_API_KEY": "no",
    }
    done, folder = train(workspace, tiny_model_dir, env, use_swanlab=True)
    assert done.returncode == 1
    assert (problem(folder)["code"], problem(folder)["field"]) == ("swanlab_failed", "use_swanlab")
    assert "no such key" in problem(folder)["params"]["reason"]
    assert not (folder / "metrics.jsonl").exists()


def test_swanlab_that_is_not_installed_is_said_at_once() -> None:
    found = check_packages(resolve({"use_swanlab": True}))
    assert [(each.code, each.field, dict(each.params)) for each in found] == [
        ("package_missing", "use_swanlab", {"package": "swanlab"})
    ]


def test_local_mode_of_swanlab_needs_its_dashboard() -> None:
    """swanlab 0.10.3 without swanboard 0.1.10b2: "Please install swanboard to use 'local' mode" is
    an error in the log, and the run goes on without anything that can be watched."""
    found = check_packages(resolve({"use_swanlab": True, "swanlab_mode": "local"}))
    assert [(each.field, dict(each.params)) for each in found] == [
        ("use_swanlab", {"package": "swanlab"}),
        ("swanlab_mode", {"package": "'swanlab[dashboard]'"}),
    ]
    assert check_packages(resolve({"use_swanlab": False, "swanlab_mode": "local"})) == []


def test_swanlab_keys_are_secret() -> None:
    values = {"use_swanlab": True, "swanlab_api_key": "sesame", "swanlab_lark_secret": "open"}
    command = Command.build("train", values)
    assert command.env == {"SWANLAB_API_KEY": "sesame", "SWANLAB_LARK_SECRET": "open"}
    assert "sesame" not in command.shell()


def test_tensorboard_shows_the_metrics_of_the_run(workspace: Path, tiny_model_dir: Path) -> None:
    """Read back with tensorboard itself; the right values are those of metrics.jsonl."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done, folder = train(workspace, tiny_model_dir, {}, report_to="tensorboard", logging_steps=1)
    assert done.returncode == 0, done.stdout + done.stderr
    (place,) = (folder / "runs").iterdir()
    events = EventAccumulator(str(place))
    events.Reload()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert [step for step, _ in shown] == [1, 2]
    assert shown == [(row["step"], pytest.approx(row["loss"])) for row in rows]


def test_the_result_is_uploaded_without_the_run_s_own_files(
    workspace: Path, tiny_model_dir: Path
) -> None:
    with serving() as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_sesame"}
        done, folder = train(
            workspace,
            tiny_model_dir,
            env,
            push_to_hub=True,
            hub_model_id="birds/sums",
            hub_private_repo=True,
            hub_revision="tries",
            save_steps=1,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert hub.made == {"birds/sums": True}
        assert (hub.branches, hub.commits) == ({"tries"}, ["tries"])
        assert hub.tokens == {"Bearer hf_sesame"}
        assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= set(hub.files)
        weights = (folder / "adapter_model.safetensors").read_bytes()
        assert hub.files["adapter_model.safetensors"] == weights
        assert not {"run.json", "log.txt", "args.yaml", "status.json", "launch.json"} & set(
            hub.files
        )
        assert not [name for name in hub.files if "/" in name]
    notices = json.loads((folder / "status.json").read_text())["notices"]
    assert "hub_pushed" in [row["code"] for row in notices]


def test_a_hub_that_refuses_is_quoted_and_the_result_stays(
    workspace: Path, tiny_model_dir: Path
) -> None:
    with serving() as hub:
        hub.status = 403
        env = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_sesame"}
        done, folder = train(workspace, tiny_model_dir, env, push_to_hub=True)
    assert done.returncode == 1
    assert problem(folder)["code"] == "hub_push_refused"
    assert "403" in problem(folder)["params"]["reason"]
    assert (folder / "adapter_model.safetensors").is_file()


def test_a_hub_that_never_answers_is_named_within_15_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that takes the connection and says nothing: a client's own time-outs do not help."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        code = (
            "import sys, time; from pathlib import Path; from backend.export import publishing\n"
            "from backend.contract.texts.problems import TuneboardError\n"
            "began = time.monotonic()\n"
            "try: publishing.push(Path(sys.argv[1]), 'a/b', 'push_to_hub')\n"
            "except TuneboardError as error: print(error.problems[0].code)\n"
            "print(time.monotonic() - began)"
        )
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "x"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.split()[0] == "hub_push_unreachable", done.stderr
    assert float(done.stdout.split()[1]) < 15
    assert time.monotonic() - began < 40


def test_publishing_needs_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    wanted = {"push_to_hub": True}
    assert [(p.code, p.field) for p in check_token(resolve(wanted))] == [
        ("hub_token_missing", "hf_hub_token")
    ]
    assert check_token(resolve({"export_hub_model_id": "a/b"}))
    assert not check_token(resolve({**wanted, "hf_hub_token": "x"}))
    assert not check_token(resolve({"push_to_hub": False}))
    (tmp_path / "token").write_text("x")
    assert not check_token(resolve(wanted))
