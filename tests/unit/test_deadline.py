"""A question under a hard deadline: its answer, its error, or that it stalls."""

import threading
import time

import pytest

from backend.deadline import SECONDS, answered


def test_an_answer_in_time() -> None:
    assert answered(lambda: None, 5)


def test_what_is_raised_is_raised_here() -> None:
    def ask() -> None:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError, match="no"):
        answered(ask, 5)


def test_a_question_that_stalls_is_left_alone() -> None:
    free = threading.Event()
    began = time.monotonic()
    assert not answered(free.wait, 0.1)
    assert time.monotonic() - began < 2
    free.set()


def test_it_leaves_time_for_what_comes_before() -> None:
    assert SECONDS < 15
