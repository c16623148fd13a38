"""Greetings and later system texts on every template that trl and transformers ship: in the text
once, in their order, never learned; the answers are."""

from typing import Any

import pytest

from backend.contract.registry.dataset_info import Entry
from backend.data import spans, tokens
from backend.datafiles import formats, layouts
from backend.datafiles.turns import Message
from tests.backend.test_shipped_templates import ALL, load_template
from tests.unit.test_ordering import talk

TALK = "s:Sys-1 a:Hello-2 u:Ask-3 u:More-4 a:Answer-5 s:Late-6 u:Ask-7 a:Say-8 a:Also-9"
ORDER = (
    "Sys-1",
    "Hello-2",
    "Ask-3",
    "More-4",
    "Answer-5",
    "Late-6",
    "Ask-7",
    "Say-8",
    "Also-9",
)
LEARNED = ("Answer-5", "Say-8", "Also-9")


def conversation(words: str) -> list[Message]:
    row: dict[str, Any] = {"messages": talk(words)}
    return formats.reader(layouts.layout(Entry(name="x"), row, ("x", 1)))(row).messages


@pytest.mark.parametrize("train_on_prompt", [False, True])
def test_each_turn_has_its_place_and_only_answers_are_learned(train_on_prompt: bool) -> None:
    policy = tokens.Policy(1_000_000, train_on_prompt)
    messages = conversation(TALK)
    seen = 0
    for name in ALL:
        template = load_template(name)
        texts = spans.render_conversation(template, messages, None)
        whole = texts[-1].text
        places = [whole.find(mark) for mark in ORDER]
        if not template.knows_system:  # then it stands in front of the first question
            places[0] = places[0] if places[0] < places[2] else -1
            places = [places[1], places[0], *places[2:]] if places[0] > places[1] else places
        assert -1 not in places, (name, whole)
        assert places == sorted(places), (name, whole)
        assert all(whole.count(mark) == 1 for mark in ORDER), (name, whole)
        learned = ""
        for encoded in tokens.encode(texts, template, policy):
            ids = [
                token
                for token, label in zip(encoded.ids, encoded.labels, strict=True)
                if label >= 0
            ]
            learned += template.tokenizer.decode(ids)
        assert all(mark in learned for mark in LEARNED), name
        if not train_on_prompt:
            assert not any(mark in learned for mark in ORDER if mark not in LEARNED), name
        seen += 1
    assert seen >= 60


def test_what_a_template_has_no_place_for_is_put_where_it_has_one() -> None:
    """Both kinds of template are among them, found by what they can, not by their names."""
    messages = conversation("a:Hello-1 u:Ask-2 a:Say-3 s:Late-4 u:Ask-5 a:Say-6")[:-1]
    kinds = set()
    for name in ALL:
        template = load_template(name)
        kinds.add((template.knows_greeting, template.knows_late_system))
        ready, _ = template.fit(messages, None)
        roles = [message["role"][0] for message in ready]
        assert roles == [
            *([] if template.knows_greeting else ["u"]),
            *("a", "u", "a"),
            *(["s"] if template.knows_late_system else []),
            "u",
        ], name
        if not template.knows_late_system:
            assert ready[-1]["content"] == "Late-4\n\nAsk-5", name
    assert kinds >= {(True, True), (True, False), (False, False)}


def test_a_system_text_stands_where_its_notice_says() -> None:
    """Where a template has no place for it: in the user's turn next to it, before the words that
    come or behind the question; between two answers as a turn of the user."""
    cases = {
        "u:Ask-1 s:Late-2 a:Say-3": ["u:Ask-1\n\nLate-2", "a:Say-3"],
        "u:Ask-1 a:Say-2 s:Late-3 u:Ask-4 a:Say-5": [
            *("u:Ask-1", "a:Say-2", "u:Late-3\n\nAsk-4", "a:Say-5"),
        ],
        "u:Ask-1 a:Say-2 s:Late-3 a:Say-4": [
            "u:Ask-1",
            "a:Say-2",
            "u:Late-3",
            "a:Say-4",
        ],
    }
    templates = [load_template(name) for name in ALL]
    templates = [
        template
        for template in templates
        if not template.knows_late_system and template.knows_system
    ]
    assert len(templates) > 5
    for words, wanted in cases.items():
        for template in templates:
            ready, _ = template.fit(conversation(words), None)
            assert [f"{message['role'][0]}:{message['content']}" for message in ready] == wanted
            assert "Late-" in template.write(ready, None)
