"""A question under a hard deadline: its answer, its error, or that it stalls."""

import threading

import pytest

from backend.running import deadline
from backend.running.deadline import ATTEMPTS, answers_in_time, retry


def test_an_answer_in_time() -> None:
    assert answers_in_time(lambda: None, 5)


def test_what_is_raised_is_raised_here() -> None:
    def ask() -> None:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError, match="no"):
        answers_in_time(ask, 5)


def test_a_question_that_stalls_is_left_alone() -> None:
    """It is answered only afterwards: that this returns before is the proof."""
    free = threading.Event()
    assert not answers_in_time(free.wait, 0.1)
    free.set()


def test_a_broken_connection_is_tried_again_and_an_answer_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    monkeypatch.setattr(deadline, "PAUSE", 0.0)
    refused = httpx2.Response(404, request=httpx2.Request("GET", "http://x"))
    broken, missing = httpx2.ReadError("reset"), HfHubHTTPError("gone", response=refused)
    for raised, asked in (
        ([], 1),
        ([broken], 2),
        ([broken] * (ATTEMPTS - 1), ATTEMPTS),
        ([broken] * ATTEMPTS, ATTEMPTS),
        ([missing], 1),
        ([ValueError()], 1),
    ):
        left, count = list(raised), 0

        def ask() -> str:
            nonlocal count
            count += 1
            if left:  # noqa: B023 (called in this turn of the loop)
                raise left.pop()  # noqa: B023
            return "it"

        ends_well = asked > len(raised)
        if ends_well:
            assert retry(ask) == "it"
        else:
            with pytest.raises(type(raised[0])):
                retry(ask)
        assert count == asked
