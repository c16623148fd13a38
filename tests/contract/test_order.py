"""The order in which test files run: names that a renamed file would lose in silence."""

from tests.conftest import LONGEST, ROOT


def test_each_of_the_longest_files_exists() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / f"{name}.py").is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)
