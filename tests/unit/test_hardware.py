"""The hardware strip: figures of each GPU, and every way in which a driver fails (G-01, G-02)."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.runs import hardware
from app.services.runs.hardware import Sampler, Snapshot, strip
from backend.contract.models import devices
from backend.contract.models.devices import Nvml
from tests.failures.conftest import until

FAKES = Path(__file__).parents[1] / "fakes"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Sampler]:
    """Gives a sampler whose driver behaves as told."""

    def make(mode: str) -> Sampler:
        monkeypatch.setenv("FAKE_NVML", mode)
        monkeypatch.syspath_prepend(str(FAKES))
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)
        return Sampler(Nvml().read)

    monkeypatch.setattr(hardware, "PERIOD_S", 0.02)
    return make


def test_two_gpus(fake: Callable[[str], Sampler]) -> None:
    first, second = fake("two").latest().gpus
    assert (first.name, first.used, first.total) == ("RTX 4090", 12 * 1024**3, 24 * 1024**3)
    assert (first.load, first.temperature, first.power) == (87, 65, 320)
    assert second.index == 1
    assert second.power is None


@pytest.mark.parametrize("mode", ["LibraryNotFound", "DriverNotLoaded", "ImportError", "none"])
def test_no_gpu_is_a_normal_state(fake: Callable[[str], Sampler], mode: str) -> None:
    now = fake(mode).latest()
    assert now.gpus == ()
    assert now.gpu_note is not None
    assert now.gpu_note.code == "no_gpu"
    assert now.ram_total > 0
    assert now.disk_free > 0


def test_a_forbidden_driver_is_named(fake: Callable[[str], Sampler]) -> None:
    note = fake("NoPermission").latest().gpu_note
    assert note is not None
    assert "NoPermission" in note.text("en")


def test_a_lost_gpu_leaves_the_rest_and_comes_back(
    fake: Callable[[str], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "GPU_RETRY_S", 0.2)
    sampler = fake("lost")
    assert len(sampler.latest().gpus) == 2
    until(lambda: not sampler.latest().gpus)
    note = sampler.latest().gpu_note
    assert note is not None
    assert "GpuIsLost" in note.text("zh")
    before = sampler.latest().time
    until(lambda: sampler.latest().time > before)
    sys.modules["pynvml"].MODE = "two"  # type: ignore[attr-defined]
    until(lambda: len(sampler.latest().gpus) == 2)


def test_a_hanging_driver_is_asked_once_and_the_rest_goes_on(
    fake: Callable[[str], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "GPU_TIMEOUT_S", 0.1)
    monkeypatch.setenv("FAKE_NVML_HANG", "30")
    others = set(threading.enumerate())  # the thread of an earlier sampler may not have ended
    sampler = fake("hang")
    times = set()

    def look_ten_times() -> bool:
        now = sampler.latest()
        times.add(now.time)
        assert now.gpus == ()
        assert now.gpu_note is not None
        assert "hangs" in now.gpu_note.text("en")
        return len(times) >= 10

    until(look_ten_times)
    threads = set(threading.enumerate()) - others
    assert sum(thread.name == "nvml" for thread in threads) <= 1


def test_garbage_is_left_out(fake: Callable[[str], Sampler]) -> None:
    for gpu in fake("garbage").latest().gpus:
        assert 0 <= gpu.used <= gpu.total
        assert (gpu.load, gpu.temperature) == (None, None)
        assert gpu.name.isprintable()
    assert len(fake("garbage").latest().gpus) == 2


def test_the_thread_ends_when_nobody_asks(
    fake: Callable[[str], Sampler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "IDLE_S", 0.1)
    sampler = fake("two")
    sampler.latest()
    until(lambda: sampler._thread is None)
    assert len(sampler.latest().gpus) == 2


def test_one_thread_for_all_pages(fake: Callable[[str], Sampler]) -> None:
    sampler = fake("two")
    pages = [threading.Thread(target=sampler.latest) for _ in range(20)]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    running = [thread for thread in threading.enumerate() if thread is sampler._thread]
    assert len(running) == 1


def test_strip_in_words() -> None:
    gpu = devices.Gpu(index=0, name="RTX", used=int(12.3 * 2**30), total=24 * 2**30, load=87)
    now = Snapshot(
        gpus=(gpu,), cpu=40.2, ram_used=int(6.1 * 2**30), ram_total=24 * 2**30, disk_free=int(80e9)
    )
    expected = "GPU 0 RTX 12.3/24 GB 87 % · RAM 6.1/24 GB · CPU 40 % · disk 80 GB free"
    assert strip(now, "en") == expected
    assert "磁盘剩余 80 GB" in strip(now, "zh")


def test_the_working_folder_may_vanish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path / "gone"))
    assert hardware._disk() == (0, 0)
    assert os.environ["TUNEBOARD_HOME"]
