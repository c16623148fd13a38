"""However a child of the page or of a command behaves, whoever follows it goes on and says how."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.contract.system import child_process, processes
from backend.contract.system.child_process import Child, Outcome, Stopped, environment, follow, run
from backend.contract.texts.problems import DataError, Problem
from tests.failures.conftest import until

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
HELPER = """
import subprocess, sys
helper = subprocess.Popen(["sleep", "60"], start_new_session={own})
print(helper.pid, file=sys.stderr, flush=True)
"""


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Each test ends what it starts."""
    yield
    assert not child_process._ours


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def number(line: str) -> int | None:
    return int(line) if line.isdecimal() else None


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    return not processes.is_alive(processes.identify(pid))


def test_progress_words_and_output_are_told_apart() -> None:
    code = "import sys; print('{}'); [print(x, file=sys.stderr) for x in (1, 'well', 2, '')]"
    work = follow(python(code), number)
    assert [next(work), next(work)] == [1, 2]
    with pytest.raises(StopIteration) as end:
        next(work)
    assert end.value.value == Outcome(0, "{}\n", "well")


def test_problems_arrive_as_they_are() -> None:
    row = json.dumps({"problems": [Problem(code="dataset_required").to_json()]})
    with pytest.raises(DataError) as caught:
        run(python(f"import sys; sys.exit({row!r})"), 20)
    assert [problem.code for problem in caught.value.problems] == ["dataset_required"]


def test_a_child_that_dies_at_once_says_why() -> None:
    assert run(python("raise SystemExit('no luck')"), 20) == Outcome(1, "", "no luck")
    assert run(python("1 / 0"), 20).words.startswith("ZeroDivisionError")
    with Child(python("raise SystemExit('no luck')"), lines="stdout", asks=True) as child:
        assert child.line(20) is None
        assert (child.wait(20), child.last_lines(1)) == (1, ["no luck"])
        with pytest.raises(OSError, match="pipe"):
            child.send(b"are you there?\n")


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Child(["/no/such/program"], lines="stderr", asks=True)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_child_that_is_killed_has_no_more_lines(name: str) -> None:
    """What it was saying when it died is its last line."""
    number = signal.Signals[name]
    code = f"import os, sys; sys.stderr.write('half'); sys.stderr.flush(); os.kill(0, {number:d})"
    assert run(["sh", "-c", 'ulimit -c 0; exec "$0" "$@"', *python(code)], 20) == Outcome(
        -number, "", "half"
    )


def test_a_child_that_hangs_is_given_up_on() -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with Child(python(code), lines="stdout") as child:
        assert child.line(20) == "ready"
        with pytest.raises(TimeoutError):
            child.line(0.05)
        with pytest.raises(TimeoutError):
            child.wait(0.05)
    assert child.code == -signal.SIGTERM
    with pytest.raises(TimeoutError):
        run(python("import time; time.sleep(60)"), 0.2)


def test_a_child_that_closes_its_stream_and_hangs_is_given_up_on() -> None:
    """It ends well after a minute: an error means that nobody has waited for that."""
    with pytest.raises(TimeoutError):
        run(["sh", "-c", "exec 2>&-; exec sleep 60"], 0.5)


@pytest.mark.parametrize("grace", [0, 0.1])
def test_a_child_that_hears_no_sigterm_is_killed(grace: float) -> None:
    child = Child(python(f"{DEAF}print(1, flush=True)\nimport time; time.sleep(60)"),
                  lines="stdout", grace=grace)  # fmt: skip
    with child:
        assert child.line(20) == "1"
    assert child.code == -signal.SIGKILL


@pytest.mark.parametrize("lines", ["stdout", "stderr", ""])
def test_a_lot_that_nobody_reads_holds_nobody_up(lines: str) -> None:
    """A pipe holds 64 KB; here 5 MB are said on the stream that is not followed."""
    other = "stdout" if lines == "stderr" else "stderr"
    code = f"import sys\nfor _ in range(50_000): sys.{other}.write('x' * 99 + '\\n')"
    with Child(python(code), lines=lines) as child:
        assert child.wait(30) == 0
        assert len(child.text()) == 5_000_000
        assert child.last_lines(2) == ["x" * 99] * 2


def test_a_lot_on_the_stream_that_is_read_arrives_whole() -> None:
    """Lines longer than a pipe, and a last one without an end."""
    code = "import sys; sys.stderr.write('a' * 300_000 + '\\n\\n' + 'é' * 100_000)"
    with Child(python(code), lines="stderr") as child:
        told = [child.line(20) for _ in range(4)]
    assert told == ["a" * 300_000, "", "é" * 100_000, None]


def test_what_a_child_says_while_it_is_read_is_not_overwritten() -> None:
    """The file and the child share one place to write at."""
    code = "for line in iter(input, ''): print(line, flush=True)"
    with Child(python(code), asks=True) as child:
        for count in range(1, 4):
            child.send(b"again\n")
            until(lambda count=count: child.text(4) and child.text().count("again") == count)
            assert child.text() == "again\n" * count


@pytest.mark.parametrize("how", ["ended", "killed", "done"])
def test_what_a_child_has_started_ends_with_it(how: str) -> None:
    rest = "" if how == "done" else "import time; time.sleep(60)"
    with Child(python(HELPER.format(own=False) + rest), lines="stderr") as child:
        helper = int(child.line(20) or 0)
        assert not gone(helper)
        if how == "killed":
            os.kill(child.pid, signal.SIGKILL)
        if how != "ended":
            child.wait(20)
            until(lambda: gone(helper))
    until(lambda: gone(helper))


def test_a_helper_in_a_session_of_its_own_holds_nobody_up() -> None:
    """It has the stream, which therefore never comes to its end."""
    with Child(python(HELPER.format(own=True)), lines="stderr") as child:
        helper = int(child.line(20) or 0)
        try:
            assert child.line(20) is None
            assert child.code == 0
            assert not gone(helper)
        finally:
            os.kill(helper, signal.SIGKILL)


def test_a_child_is_stopped_from_another_thread(tmp_path: Path) -> None:
    """It has tidied up when that is said, and its steps before that were told."""
    mark = tmp_path / "tidied"
    code = f"""
import signal, sys, time
from pathlib import Path
def end(*_):
    Path({str(mark)!r}).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(7, file=sys.stderr, flush=True)
time.sleep(60)
"""
    stop = threading.Event()
    work = follow(python(code), number, stop=stop)
    assert next(work) == 7
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        next(work)
    assert time.monotonic() - began < 5
    assert mark.exists()


def test_a_child_that_never_stops_to_speak_is_stopped() -> None:
    code = "import sys\nfor n in range(10**9): print(n, file=sys.stderr)"
    stop = threading.Event()
    work = follow(python(code), number, stop=stop)
    assert [next(work) for _ in range(3)] == [0, 1, 2]
    stop.set()
    with pytest.raises(Stopped):
        next(work)


def test_a_stop_that_comes_first_ends_the_child_at_once() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        next(follow(python("import time; time.sleep(60)"), number, stop=stop))


def test_leaving_the_work_ends_the_child() -> None:
    code = "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"
    work = follow(python(code), number)
    child = next(work)
    assert not gone(child)
    work.close()
    assert gone(child)


@pytest.mark.parametrize("stays", [False, True])
def test_a_child_ends_with_us_unless_it_has_a_log(tmp_path: Path, stays: bool) -> None:
    log = tmp_path / "log"
    code = f"""
import sys
from pathlib import Path
from backend.contract.system.child_process import Child
log = Path({str(log)!r}) if {stays} else None
sleeper = "import time; print('here', flush=True); time.sleep(60)"
child = Child([sys.executable, "-c", sleeper], log=log)
while not child.text(): pass
print(child.pid)
"""
    out = subprocess.run(
        python(code), env=environment(), capture_output=True, text=True, timeout=30
    )
    child = int(out.stdout)
    assert gone(child) is not stays
    if stays:
        assert log.read_text() == "here\n"
        os.killpg(child, signal.SIGKILL)
