"""Settings of all tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from app.services.models.catalog import STARTER

ROOT = Path(__file__).parents[1]

os.environ["LC_ALL"] = "C.UTF-8"  # of whoever runs them: the command speaks that language

# The same examples on every run of the landing script; new ones on every run by hand.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model's folder in the checkout, fetched when it is not there yet."""
    folder = ROOT / "saves" / "models" / STARTER
    if not (folder / "model.safetensors").is_file():
        done = subprocess.run(
            [sys.executable, "-m", "backend", "starter"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return folder
