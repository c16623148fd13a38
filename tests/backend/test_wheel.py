"""The built wheel, in an environment that holds only its dependencies, works from any folder."""

import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tuneboard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment in which the wheel, not the checkout, is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=True)
    binary = folder / "env" / "bin"
    install = [binary / "python", "-m", "pip", "install", "-q", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    # The dependencies come from this environment; a path in a .pth does not read the .pth files
    # there, so the checkout (an editable install) stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binary / "tuneboard"


def environment() -> dict[str, str]:
    unwanted = ("TUNEBOARD_HOME", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def test_it_is_the_wheel_that_runs(tuneboard: Path, tmp_path: Path) -> None:
    code = "from backend.data import builtin_templates as templates; "
    code += "templates.jinja(templates.pieces('qwen'), '', ''); print(templates.__file__)"
    python = tuneboard.with_name("python")
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert str(tuneboard.parents[1]) in done.stdout
    site = next((tuneboard.parents[1] / "lib").glob("python*/site-packages"))
    assert all((site / package / "py.typed").is_file() for package in ("app", "backend"))


def test_it_trains_from_any_folder(tuneboard: Path, tmp_path: Path, tiny_model_dir: Path) -> None:
    words = (
        f"--model_name_or_path {tiny_model_dir} --dataset identity --max_steps 2 --cutoff_len 64"
    )
    out = tmp_path / "saves" / "tiny" / "lora" / "first"
    done = subprocess.run(
        [tuneboard, "train", *words.split(), "--output_dir", str(out)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / "adapter_model.safetensors").is_file()
    assert (tmp_path / "data" / "identity.json").is_file()


def test_its_page_answers(tuneboard: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [tuneboard, "webui", "--port", str(port)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as page:
        try:
            assert page.stdout is not None
            assert f"http://127.0.0.1:{port}" in page.stdout.readline()
            assert b"Tuneboard" in _get(f"http://127.0.0.1:{port}/")
        finally:
            page.terminate()
    assert (tmp_path / "data" / "dataset_info.json").is_file()
    assert (tmp_path / "saves").is_dir()


def _get(url: str) -> bytes:
    for _ in range(50):
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                content: bytes = reply.read()
                return content
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(url)
