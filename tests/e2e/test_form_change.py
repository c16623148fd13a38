"""A change of a form by one click, and the way back, in Chromium."""

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.modules import serve_modules

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

URL = "http://page.test/"
# The form of the page takes a change as the real one does, and tells of it at once.
CLICKS = """async () => {
  const { publish, subscribe } = await import("/channel.js");
  const { FormChange } = await import("/form_change.js");
  const values = { batch: "8", rate: "1e-4", other: "x" };
  const change = new FormChange("train", () => ({ ...values }));
  const lapses = [];
  subscribe("train", document.body, (news) => {
    if (news.kind === "change") {
      Object.assign(values, news.values);
      publish("train", { kind: "values", values: {} });
    } else lapses.push(change.hasLapsed());
  });
  const seen = () => [values.batch, values.rate, change.isMade, lapses.splice(0)];
  const steps = [];
  change.make({ batch: "2", rate: "2e-4" });
  steps.push(seen());
  change.undo();
  steps.push(seen());
  change.make({ batch: "4" });
  values.other = "y";
  steps.push([change.hasLapsed(), ...seen()]);
  values.batch = "3";
  steps.push([change.hasLapsed(), ...seen()]);
  change.undo();
  steps.push(seen());
  return steps;
}"""


def test_a_change_goes_back_until_a_person_changes_one_of_its_values(browser: Browser) -> None:
    page = browser.new_page()
    serve_modules(page, URL, "<title>change</title>")
    page.goto(URL)
    steps: Any = page.evaluate(CLICKS)
    page.close()
    assert steps == [
        ["2", "2e-4", True, [False]],
        ["8", "1e-4", False, [False]],
        [False, "4", "1e-4", True, [False]],
        [True, "3", "1e-4", False, []],
        ["3", "1e-4", False, [False]],
    ]


# The form says which fields somebody has set before the change.
OWNERS = """async () => {
  const { publish, subscribe } = await import("/channel.js");
  const { FormChange } = await import("/form_change.js");
  const values = { batch: "8", rate: "1e-4" };
  const free = [];
  subscribe("train", document.body, (news) => {
    if (news.kind !== "change") return;
    free.push(news.free);
    publish("train", { kind: "values", values, own: ["batch", "rate"] });
  });
  publish("train", { kind: "values", values, own: ["rate"] });
  const change = new FormChange("train", () => ({ ...values }));
  change.make({ batch: "2", rate: "2e-4" });
  change.undo();
  return free;
}"""


def test_what_nobody_had_set_is_nobodys_again(browser: Browser) -> None:
    page = browser.new_page()
    serve_modules(page, URL, "<title>change</title>")
    page.goto(URL)
    free: Any = page.evaluate(OWNERS)
    page.close()
    assert free == [[], ["batch"]]
