"""How large the page is when it is opened. What is counted here does not depend on the machine."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.settings import Settings
from app.web.first_scripts import FOLDER, modules
from app.web.server import build_app
from backend.contract.texts import locales
from backend.contract.texts.locales import languages, t
from tests.architecture import SCRIPTS

MOST_BYTES = 250_000  # of the first HTML, as it is sent to those who cannot read compressed texts
MOST_COMPONENTS = 250
MOST_EVENTS = 145
# Kinds of Gradio's components that no first sight needs.
LATE = {"chatbot", "checkbox", "code", "dataframe", "file", "number", "radio"}
# What an event sends of the page: a form is one value. Start of a recipe sends most: its six sets,
# its name, what else was typed, the answer to the press before, the model, the language.
MOST_INPUTS = 12


@pytest.fixture(scope="module")
def client() -> TestClient:
    locales.table.cache_clear()
    client = TestClient(build_app(Settings()), base_url="http://127.0.0.1:7860")
    assert client.get("/").status_code == 200
    assert locales.table.cache_info().currsize == 1, "a language is kept before it is spoken"
    return client


def config(client: TestClient) -> dict[str, list[dict[str, Any]]]:
    page = client.get("/").text
    found = re.search(r"window\.gradio_config = (.*?);</script>", page)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_first_answer_is_small(client: TestClient) -> None:
    """It was 712 kB, and 350 kB with what Gradio tells clients of an API."""
    size = len(client.get("/", headers={"accept-encoding": "identity"}).content)
    assert 100_000 < size <= MOST_BYTES


def test_the_page_has_few_components_and_events(client: TestClient) -> None:
    """A browser walks through all of them for each update: it was 972, with 504 events."""
    page = config(client)
    assert 100 < len(page["components"]) <= MOST_COMPONENTS
    assert 50 < len(page["dependencies"]) <= MOST_EVENTS
    assert max(len(event["inputs"]) for event in page["dependencies"]) <= MOST_INPUTS


def test_kinds_that_only_closed_tabs_show_are_not_fetched_with_the_page(client: TestClient) -> None:
    """Gradio fetches the script of each visible component, of closed tabs, too: half a megabyte of
    an editor, tables and chats. The opening of their tab shows these."""
    page = config(client)
    fetched = {each["type"] for each in page["components"] if each["props"].get("visible", True)}
    assert {"html", "button", "textbox"} <= fetched
    assert not fetched & LATE
    openings = [event for event in page["dependencies"] if ".reveal(" in (event["js"] or "")]
    assert {name for event in openings for _, name in event["targets"]} == {"select"}
    shown = {place for event in openings for place in event["outputs"]}
    assert {each["type"] for each in page["components"] if each["id"] in shown} == LATE


def test_a_language_needs_no_event_of_the_server(client: TestClient) -> None:
    """An event with 96 outputs took half a second: the browser reads the texts before it."""
    events = config(client)["dependencies"]
    (event,) = [each for each in events if ".readTexts(" in (each["js"] or "")]
    assert not event["backend_fn"]
    texts = {lang: client.get(f"/own/form/page?lang={lang}").json() for lang in ("en", "zh")}
    assert texts["en"] != texts["zh"]
    assert {len(each["updates"]) + 1 for each in texts.values()} == {len(event["outputs"])}


def test_what_scripts_are_told_is_there_for_each_component(client: TestClient) -> None:
    told = client.get("/own/components.json?lang=en").json()
    places = re.findall(r"mount\(\[..\w+.., ..(\w+)..\]", json.dumps(config(client)))
    assert len(places) > 30
    assert set(places) <= set(told)


def test_scripts_are_told_texts_of_one_language(client: TestClient) -> None:
    """Whatever the number of languages: the others come when they are chosen."""
    chosen = languages()[-1]
    data = client.get(f"/own/components.json?lang={chosen}").json()
    spoken = [each["words"] for each in data.values() if "words" in each]
    assert len(spoken) > 5
    assert {tuple(words) for words in spoken} == {(chosen,)}
    assert t("panel.safe", chosen) in json.dumps(data, ensure_ascii=False)
    assert t("panel.safe", languages()[0]) not in json.dumps(data)
    assert client.get("/own/components.json?lang=xx").status_code == 404


def test_the_style_sheets_of_the_page_come_with_it(client: TestClient) -> None:
    """Before anything is drawn, and as they are written."""
    page = client.get("/").text
    sheets = re.findall(r'rel="stylesheet" href="own/browser/([\w.]+)"', page)
    assert sheets == ["scale.css", "page.css"]
    for name in sheets:
        served = client.get(f"/own/browser/{name}").text
        assert served == (FOLDER / name).read_text(encoding="utf-8")


def test_the_scripts_of_the_first_tab_are_fetched_with_the_page(client: TestClient) -> None:
    """One after another, as they import each other, they came a second later."""
    page = client.get("/").text
    fetched = re.findall(r'rel="modulepreload" href="own/browser/([\w.]+)"', page)
    assert fetched == modules()
    for name in fetched:
        text = (FOLDER / name).read_text(encoding="utf-8")
        imported = re.findall(r'from "\./([\w.]+)";', text)
        assert set(imported) <= set(fetched), name
    assert len(fetched) < len([*Path(SCRIPTS).glob("*.js")])  # not those of other tabs
