"""Each stage's form: what the stage takes is there, what belongs to others is not."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from backend.contract.arguments.arguments import active_fields, defaults, fields_of
from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.locales import t
from tests.e2e.conftest import Server
from tests.e2e.forms import choose, show_all
from tests.failures.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NOT_DRAWN = {"output_dir", "resume_from_checkpoint", "do_predict"}
STAGES = FIELDS["stage"].choices
OF_STAGES = {
    row.name
    for row in fields_of("train")
    if row.widget != "none"
    and row.name not in NOT_DRAWN
    and any(name == "stage" for name, _ in row.conditions("train"))
}


def wanted(stage: str) -> set[str]:
    """The fields that depend on the stage and apply to it; all others are at their defaults."""
    rows = active_fields({**defaults("train"), "stage": stage}, "train")
    return {row.name for row in rows} & OF_STAGES


def unfold_all(page: Page) -> None:
    """Open every group: what is in a closed one is not seen."""
    closed = page.locator("[id^=group-]:not([open]) > summary:visible")
    while closed.count():
        closed.first.click()


def test_a_form_has_the_fields_of_its_stage(open_page: Callable[..., Page], server: Server) -> None:
    assert len(OF_STAGES) > 30
    page = open_page()
    show_all(page)
    for stage in (*STAGES, "ppo", "sft"):
        choose(page, "stage", t(f"choice.stage.{stage}", "en"))
        first = "--output_dir" if stage == "sft" else f"--stage {stage}"
        expect(page.locator("#command")).to_contain_text(first)
        until(lambda stage=stage: drawn(page) == wanted(stage), 30)


def drawn(page: Page) -> set[str]:
    """Those of the fields that are seen, every group opened."""
    unfold_all(page)
    return set(
        page.evaluate(
            "names => names.filter(name => document.getElementById(name)?.checkVisibility())",
            sorted(OF_STAGES),
        )
    )
