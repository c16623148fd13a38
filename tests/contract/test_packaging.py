"""What a clone and a wheel contain besides the code."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from app.services.models import catalog
from backend.contract.runs import model_folders, run_folder, run_names
from backend.contract.runs.run_view import folders

ROOT = Path(__file__).parents[2]


def test_a_clone_has_a_saves_folder_that_says_what_comes_there() -> None:
    files = subprocess.run(
        ["git", "ls-files", "saves"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert files == ["saves/README.md"]


def test_the_readme_in_saves_is_no_run_and_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    before = model_folders.local_models(), catalog.trained_models()
    saves = tmp_path / "saves"
    saves.mkdir()
    shutil.copy(ROOT / "saves" / "README.md", saves)
    assert run_folder.runs(saves) == []
    assert folders(saves) == []
    assert run_names.find("README.md") == []
    assert (model_folders.local_models(), catalog.trained_models()) == before == ([], [])


def test_the_metadata_of_the_package() -> None:
    """No address is invented: `urls` come when there is a public repository to name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(project["classifiers"])
    assert not [name for name in project["classifiers"] if name.startswith("License ::")]
    assert len(project["keywords"]) == len({word.lower() for word in project["keywords"]}) > 5
    for package in ("app", "backend"):
        assert (ROOT / package / "py.typed").read_bytes() == b""


def test_the_workflow_checks_and_tests_each_python_from_the_oldest_on() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    targets = set()
    for job in workflow["jobs"].values():
        versions = job["strategy"]["matrix"]["python"]
        assert f">={versions[0]}" == project["requires-python"]
        assert {"3.11", "3.12", "3.13"} <= set(versions)
        targets |= {step["run"] for step in job["steps"] if step.get("run", "").startswith("make")}
    assert targets == {"make check", "make test"}
