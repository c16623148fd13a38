"""Images and containers by buildah alone, in a storage of their own: as root, without a daemon.

A container here is a chroot in a process namespace of its own, in the network of the machine: what
is killed with it, and what its processes see of each other, is as with Docker.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROOM, AGAIN = "TUNEBOARD_IMAGE_ROOM", "TUNEBOARD_IMAGE_AGAIN"
BASE, IMAGE = "localhost/tuneboard-base", "localhost/tuneboard:cpu"
PACKAGES = "python3,python3-venv,ca-certificates"


@dataclass
class Engine:
    """buildah with its storage in a folder."""

    room: Path

    def __call__(self, *words: str) -> str:
        """What a command of buildah says; AssertionError with all of it where it fails."""
        done = subprocess.run([*self.argv(), *words], capture_output=True, text=True)
        assert done.returncode == 0, (
            f"{' '.join(words)}\n{done.stdout[-4000:]}{done.stderr[-8000:]}"
        )
        return done.stdout.strip()

    def argv(self) -> list[str]:
        """buildah and where it keeps things."""
        storage = ["--root", f"{self.room}/storage", "--runroot", f"{self.room}/run"]
        return ["buildah", *storage, "--storage-driver", "vfs"]

    def make_base(self) -> None:
        """A Debian with Python and nothing else, unless it is there."""
        if BASE in self("images", "--format", "{{.Name}}").split():
            return
        folder = self.room / "debian"
        shutil.rmtree(folder, ignore_errors=True)
        argv = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        container = self("from", "scratch")
        subprocess.run(["cp", "-a", f"{folder}/.", self("mount", container)], check=True)
        self("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(folder)

    def build(self, context: Path) -> None:
        """The CPU image of a checkout; the settings of this machine's pip are bound in only."""
        volumes = [word for pair in package_settings(self.room) for word in ("--volume", pair)]
        words = ["--format", "docker", "--isolation", "chroot", "--tag", IMAGE]
        given = {"BASE": BASE, "DEVICE": "cpu", "TORCH": torch_wheel() or "torch"}
        arguments = [word for pair in given.items() for word in ("--build-arg", "=".join(pair))]
        self("build", *words, *volumes, *arguments, str(context))

    def size(self) -> int:
        """Bytes of the image."""
        (row,) = json.loads(self("images", "--json", IMAGE))
        number, unit = row["size"].split()
        return int(float(number) * {"MB": 10**6, "GB": 10**9}[unit])

    def config(self) -> dict[str, Any]:
        """What the image says of itself: Env, Entrypoint, Cmd, User, Healthcheck."""
        described = json.loads(self("inspect", "--type", "image", IMAGE))
        config: dict[str, Any] = described["Docker"]["config"]
        return config


@dataclass
class Container:
    """A container that may be started again as often as one likes; its volumes are folders."""

    engine: Engine
    name: str
    volumes: Mapping[Path, str]
    env: Mapping[str, str]
    process: subprocess.Popen[str] | None = None

    def argv(self, *command: str) -> list[str]:
        """The words that run a command in it."""
        volumes = [f"--volume={source}:{target}" for source, target in self.volumes.items()]
        env = [f"--env={name}={value}" for name, value in self.env.items()]
        words = ["run", "--isolation", "chroot", *volumes, *env, self.name, "--", *command]
        return [*self.engine.argv(), *words]

    def start(self) -> None:
        """Run what the image says, as process 1's only child in a namespace of its own."""
        config = self.engine.config()
        command = [*config["Entrypoint"], *config["Cmd"]]
        own = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen(
            [*own, *self.argv(*command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def kill(self) -> None:
        """End it as a machine without memory does: every process at once."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """SIGTERM to the process that the image starts; returns what it said until its end."""
        assert self.process is not None
        (first,) = [
            each
            for each in psutil.Process(self.process.pid).children(recursive=True)
            if each.name() == "dumb-init"
        ]
        first.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=180)[0]


@contextmanager
def container(
    engine: Engine, volumes: Mapping[Path, str], env: Mapping[str, str]
) -> Iterator[Container]:
    """A container of the image, removed at the end."""
    made = Container(engine, engine("from", IMAGE), volumes, env)
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        engine("rm", made.name)


def package_settings(room: Path) -> list[str]:
    """What tells this machine's pip where packages are, as volumes for pip and uv in a build."""
    rows = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    values = {
        name.rpartition(".")[2]: value.strip("'")
        for name, _, value in (row.partition("=") for row in rows)
        if not name.endswith(("constraint", "extra-index-url"))
    }
    (room / "pip.conf").write_text(
        "\n".join(["[global]", *(f"{k} = {v}" for k, v in values.items())])
    )
    uv = ["system-certs = true", f"find-links = {json.dumps(values.get('find-links', '').split())}"]
    if "index-url" in values:
        uv.append(f"index-url = {json.dumps(values['index-url'])}")
    (room / "uv.toml").write_text("\n".join(uv))
    folders = [each for each in values.get("find-links", "").split() if each.startswith("/")]
    return [
        f"{room}/pip.conf:/etc/pip.conf:ro",
        f"{room}/uv.toml:/etc/uv/uv.toml:ro",
        *(f"{each}:{each}:ro" for each in ("/etc/ssl/certs", *folders) if os.path.isdir(each)),
    ]


def torch_wheel() -> str:
    """A wheel of torch for processors in pip's folders, for where PyTorch's index is away."""
    rows = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
    ).stdout.split()
    wheels = [wheel for row in rows for wheel in Path(row).glob("torch-*+cpu-cp311-*.whl")]
    return str(wheels[0]) if wheels else ""
