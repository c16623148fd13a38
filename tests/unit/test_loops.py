"""The loop of a check over many items sees them all, and says which of them fail."""

import pytest

from tests.loops import check_each


def test_every_failing_item_is_reported() -> None:
    """A loop that stops at the first one hides the others, whatever they raise."""

    def check(number: int) -> None:
        assert 6 // number > 2

    with pytest.raises(ExceptionGroup, match="3 of 4 items fail") as caught:
        check_each({"none": 0, "two": 2, "three": 3, "six": 6}, check)
    errors = caught.value.exceptions
    assert [type(error) for error in errors] == [ZeroDivisionError, AssertionError, AssertionError]
    assert [error.__notes__ for error in errors] == [["of none"], ["of three"], ["of six"]]
    assert check_each({"one": 1, "two": 2}, check) == 2
    assert check_each({}, check) == 0
