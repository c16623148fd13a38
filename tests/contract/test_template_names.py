"""The template names that page and command know are those that the worker can write."""

import pytest

from backend.contract import template_names
from backend.contract.template_names import ALIASES, AUTO, NAMES, OFFERED
from backend.data import named


def test_the_names_are_the_templates() -> None:
    assert len(NAMES) == len(set(NAMES)) > 15
    assert set(NAMES) == set(named.NAMED)
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & {*NAMES, AUTO}
    assert set(OFFERED) <= {AUTO, *NAMES}


@pytest.mark.parametrize("name", [None, "", "auto", " ChatML ", *NAMES, *ALIASES])
def test_a_known_name_is_no_problem(name: str | None) -> None:
    assert template_names.check({"template": name}) == []
