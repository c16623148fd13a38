"""Chat's Send, Stop and Regenerate with a model server of ours in place of the child."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from app.services.chat import chat_client
from app.services.chat.conversation import Conversation, Talk
from app.tabs.chat import answering, model_control
from app.tabs.chat.answering import Answering
from backend.contract.arguments.arguments import defaults
from backend.contract.preflight.model_server import Status
from backend.contract.texts.problems import ModelError, Problem

VALUES = {**defaults("api"), "model_name_or_path": "saves/models/tiny"}


class FakeServer:
    """Loads at once, unless `state` says otherwise, and answers in two pieces."""

    state = "ready"
    refusal: Problem | None = None

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.questions: list[Any] = []

    def close(self) -> None:
        """End."""

    def status(self) -> Status:
        return Status(self.state, model="tiny", since=1.0)

    def models(self) -> list[str]:
        return ["tiny"]

    def deltas(self, model: str, messages: Any, options: Any) -> Iterator[dict[str, Any]]:
        self.questions.append(messages)
        if self.refusal:
            raise ModelError(self.refusal)
        yield from ({"content": "I "}, {"content": "am."})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeServer]]:
    class Server(FakeServer):
        pass

    monkeypatch.setattr(chat_client, "ModelServer", Server)
    monkeypatch.setattr(model_control, "check_paths", lambda values, task: [])
    monkeypatch.setattr(answering, "DRAW_S", 0)
    yield Server
    chat_client.unload()


class Visitor:
    """One open page: what it holds, and what its events do to it."""

    def __init__(self) -> None:
        form: Any = SimpleNamespace(values=lambda given: (VALUES, []))
        context: Any = SimpleNamespace()
        with gr.Blocks():
            self.answering = Answering(context, form, {})
        self.talk, self.turns, self.words, self.note = Talk(), "", "", ""

    def _page(self) -> list[Any]:
        return [self.talk, "en", self.turns, True, False]

    def _take(self, box: Any, turns: Any, note: Any) -> None:
        self.words = box.get("value", self.words)
        self.turns = turns if isinstance(turns, str) else self.turns
        if "visible" in note:
            self.note = note.get("value", "") if note["visible"] else ""

    def send(self, words: str) -> None:
        self.words = words
        box, _, turns, _, _, note, *_ = self.answering._ask(*self._page(), words, "user")
        self._take(box, turns, note)

    def hear(self) -> list[str]:
        """Let the answer be written; what the page held after each step."""
        steps = []
        for turns, _, _, note in self.answering._answer(*self._page(), "", "", ""):
            self._take({}, turns, note)
            steps.append(self.turns)
        self.settle()
        return steps

    def settle(self) -> None:
        self._take(answering._settle(*self._page(), self.words)[0], None, {})

    def stop(self) -> None:
        box, _, turns, _, _, note = answering._stop(*self._page(), self.words)
        self._take(box, turns, note)

    @property
    def said(self) -> list[str]:
        return [turn["content"] for turn in Conversation.read(self.turns).tuned]


def test_the_first_send_loads_the_model_and_then_answers(server: type[FakeServer]) -> None:
    server.state = "loading"
    visitor = Visitor()
    visitor.send("Who are you?")
    assert (visitor.words, visitor.said) == ("", ["Who are you?"])
    assert chat_client.status().state == "loading"
    visitor.hear()
    assert visitor.said == ["Who are you?"]
    assert visitor.talk.waits
    server.state = "ready"
    assert len(visitor.hear()) > 2
    assert visitor.said == ["Who are you?", "I am."]
    assert not visitor.talk.busy


def test_a_load_that_fails_gives_the_question_back(server: type[FakeServer]) -> None:
    server.state = "loading"
    visitor = Visitor()
    visitor.send("Who are you?")
    server.state = "failed"
    visitor.words = "typed since"
    visitor.hear()
    assert (visitor.words, visitor.said) == ("Who are you?\n\ntyped since", [])


def test_an_answer_that_fails_is_no_bubble(server: type[FakeServer]) -> None:
    """Errors stood in the column as answers of the assistant, and were sent to the model."""
    server.refusal = Problem(code="chat_refused", params={"reason": "too long"})
    visitor = Visitor()
    visitor.send("Who are you?")
    visitor.hear()
    assert (visitor.words, visitor.said) == ("Who are you?", [])
    assert "too long" in visitor.note


def test_what_is_sent_meanwhile_stays_in_its_box(server: type[FakeServer]) -> None:
    server.state = "loading"
    visitor = Visitor()
    visitor.send("first")
    visitor.send("second")
    assert (visitor.words, visitor.said) == ("second", ["first"])
    assert visitor.note.startswith("The model is still")


def test_stop_before_the_first_word_gives_the_question_back(server: type[FakeServer]) -> None:
    server.state = "loading"
    visitor = Visitor()
    visitor.send("Who are you?")
    visitor.stop()
    assert (visitor.words, visitor.said) == ("Who are you?", [])
    server.state = "ready"
    visitor.hear()
    assert visitor.said == []


def test_stop_keeps_what_was_written(server: type[FakeServer]) -> None:
    visitor = Visitor()
    visitor.send("Who are you?")
    events = visitor.answering._answer(*visitor._page(), "", "", "")
    next(events)
    visitor.turns = next(events)[0]
    visitor.stop()
    assert visitor.said == ["Who are you?", "I "]
    list(events)
    assert visitor.said == ["Who are you?", "I "]
    assert not visitor.talk.busy


def test_another_model_is_loaded_anew_and_other_sampling_is_not(server: type[FakeServer]) -> None:
    chat_client.load(VALUES)
    assert chat_client.serves({**VALUES, "temperature": 0.1, "max_new_tokens": 9})
    assert not chat_client.serves({**VALUES, "model_name_or_path": "saves/models/other"})
    assert not chat_client.serves({**VALUES, "infer_dtype": "float32"})


@pytest.mark.parametrize(
    ("adapter", "titles"),
    [
        (None, ("tiny", "")),
        ("saves/tiny/lora/two", ("two", "tiny")),
        ("saves/tiny/lora/one,saves/tiny/lora/two/checkpoint-4", ("two/checkpoint-4", "tiny")),
    ],
)
def test_columns_are_titled_by_the_run(
    server: type[FakeServer], adapter: str | None, titles: tuple[str, str]
) -> None:
    chat_client.load({**VALUES, "adapter_name_or_path": adapter})
    assert chat_client.titles() == titles
    chat_client.unload()
    assert chat_client.titles() == ("", "")
