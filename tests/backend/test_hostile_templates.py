"""A chat template that came with a model is somebody else's program (S-29, S-30)."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import UsageError
from backend.data import templates
from backend.data.render_limit import RenderTimeoutError, limit_rendering
from tests.backend.conftest import CHATML, make_tokenizer

HOSTILE = {
    "globals": "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ (''|attr('__class__')).__mro__ }}",
    "format_map": "{{ '{0.__class__.__init__.__globals__}'.format_map({'0': cycler}) }}",
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "nested": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "silent": "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = i %}{% endfor %}"
    "{% endfor %}",
    "huge": "{{ 'x' * 100000000 }}",
    "change": "{{ messages.append(1) }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_within_seconds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.thread_time()
    with pytest.raises(UsageError) as caught:
        templates.load(
            resolve({"template": "auto"}), make_tokenizer(template=HOSTILE[name] + CHATML)
        )
    assert time.thread_time() - start < 10  # 1.5 s for one rendering, however busy the machine is
    assert caught.value.problems[0].code == "template_broken"
    assert list(tmp_path.iterdir()) == []


def endless_loop() -> None:
    while True:
        pass


def endless(caught: list[float]) -> None:
    """Goes on until it is interrupted; notes the processor time that it got."""
    start = time.thread_time()
    try:
        with limit_rendering(0.2):
            endless_loop()
    except RenderTimeoutError:
        caught.append(time.thread_time() - start)


def test_the_limit_holds_in_any_thread() -> None:
    """Four that never end, at once: each is ended, after its own 0.2 s and not those of all."""
    caught: list[float] = []
    threads = [threading.Thread(target=endless, args=(caught,), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(caught) == 4
    assert min(caught) >= 0.2


def test_the_limit_holds_in_a_forked_process() -> None:
    """Rows are tokenized in forked processes, which have no thread of their parent's."""
    with limit_rendering():
        pass
    child = multiprocessing.get_context("fork").Process(target=endless, args=([],))
    child.start()
    child.join(30)
    assert child.exitcode == 0


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="the system has no clock of another thread"
)
def test_waiting_for_a_busy_machine_does_not_count() -> None:
    """A good template was refused where other programs had the processor for 1.5 s: a rendering
    that only waits (as one without a processor does) uses no processor time."""
    with limit_rendering(0.05):
        time.sleep(0.6)


def test_a_template_that_swallows_the_interruption_is_interrupted_again() -> None:
    """Jinja's `int` filter catches ValueError, which the interruption is one of."""
    swallowed = []

    def go_on() -> None:
        while len(swallowed) < 3:
            try:
                endless_loop()
            except ValueError as error:
                swallowed.append(error)
        raise swallowed[-1]

    with pytest.raises(RenderTimeoutError), limit_rendering(0.05):
        go_on()


def test_the_limit_ends_with_its_block() -> None:
    with limit_rendering(0.05):
        pass
    start = time.thread_time()
    while time.thread_time() - start < 0.5:
        pass
