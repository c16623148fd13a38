"""A page that ends does not wait for a child that makes an answer."""

import threading

import pytest

from backend.contract.system.warm_child import Died, WarmChild
from tests.failures.conftest import until


def test_who_waits_for_an_answer_is_let_go_at_the_end() -> None:
    """SIGTERM waited for torch to be imported, as its request did."""
    warm = WarmChild("tests.fakes.silent_child")
    died = threading.Event()

    def ask() -> None:
        with pytest.raises(Died):
            list(warm.ask({}, 600))
        died.set()

    waiting = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for thread in waiting:
        thread.start()
    until(lambda: warm.pid, 60)
    warm.close()
    for thread in waiting:
        thread.join(60)
    assert died.is_set()
    assert not any(thread.is_alive() for thread in waiting)
    assert warm.pid is None
    with pytest.raises(Died):
        list(warm.ask({}, 1))
