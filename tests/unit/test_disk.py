"""What a run writes of its disk with each row: free bytes, and those of its checkpoints."""

import shutil
from pathlib import Path

import pytest

from backend.training import disk


def test_the_checkpoints_alone_count(tmp_path: Path) -> None:
    """With folders inside them; neither the result beside them nor what a link leads to."""
    for name, size in (("checkpoint-1", 1000), ("checkpoint-20/optimizer", 300)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "weights").write_bytes(b"x" * size)
    assert disk.checkpoint_bytes(tmp_path) == 1300
    (tmp_path / "model.safetensors").write_bytes(b"x" * 5000)
    (tmp_path / "checkpoint-old").mkdir()
    (tmp_path / "checkpoint-old" / "weights").write_bytes(b"x" * 5000)
    link = tmp_path / "checkpoint-1" / "link"
    link.symlink_to(tmp_path / "model.safetensors")
    linked = link.lstat().st_size
    assert disk.checkpoint_bytes(tmp_path) == 1300 + linked
    shutil.rmtree(tmp_path / "checkpoint-20")
    assert disk.checkpoint_bytes(tmp_path) == 1000 + linked


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert disk.checkpoint_bytes(tmp_path / "gone") == 0
    assert disk.free_bytes(tmp_path / "gone") is None
    assert disk.free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
