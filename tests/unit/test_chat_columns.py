"""Chat's columns: what was said is held apart from how it is shown, and comes back as it was."""

import json
from pathlib import Path

import gradio as gr
import pytest

from app.services.chat.conversation import Conversation
from app.tabs.chat import chat, columns

TEXTS = [
    "<b>x</b> &amp; $$y$$",
    "    indented\n\ttab\n",
    "plain",
    "<script>1</script>",
    "```\ncode\n```\n~~~\n`````",
]


def test_every_character_is_held() -> None:
    """Gradio took tabs and indentation from each text, which the model was then told without."""
    said = Conversation()
    for text in TEXTS:
        said.ask({"role": "user", "content": text}, ("tuned",))
        said.tuned.append({"role": "assistant", "content": text})
    assert Conversation.read(said.text()) == said
    assert Conversation().text() == ""


@pytest.mark.parametrize("text", ["", "[", "3", "[]", '{"tuned": 3}', '{"tuned": [{"role": "x"}]}'])
def test_what_a_browser_holds_may_be_anything(text: str) -> None:
    assert Conversation.read(text) == Conversation()


def test_a_text_as_it_is_stands_in_one_code_block() -> None:
    """Nothing in it ends the block; Gradio sends each as a part, which it does not clean."""
    said = Conversation([{"role": "user", "content": text} for text in TEXTS])
    shown = columns.show(said, True, "en")[0]
    with gr.Blocks():
        sent = gr.Chatbot().postprocess(shown)
    for message, text in zip(sent.root, TEXTS, strict=True):
        (part,) = message.content
        bar, rest = part.text.split("\n", 1)
        assert set(bar) == {"`"}
        assert bar not in text
        assert rest == f"{text}\n{bar}"
    as_markdown = columns.show(said, False, "en")[0]
    assert [one["content"][0]["text"] for one in as_markdown] == TEXTS


@pytest.mark.parametrize(
    "text",
    ["<thought>\nTea\n</thought>\n\nAt seven.", "<think>\nTea\n</think>\n\nAt seven."],
)
def test_a_thought_is_folded_before_its_answer(text: str) -> None:
    """Gradio folds a message with a title whose status is done, and unfolds any other."""
    said = Conversation(
        [{"role": "user", "content": "When?"}, {"role": "assistant", "content": text}]
    )
    question, thought, answer = columns.show(said, False, "en")[0]
    assert question["metadata"] == {}
    assert thought["metadata"] == {"title": "Thought", "status": "done"}
    assert thought["content"][0]["text"] == "Tea"
    assert answer["content"][0]["text"] == "At seven."
    assert [columns.turn_at(said.tuned, place) for place in (0, 1, 2)] == [0, 1, 1]


def test_a_thought_that_goes_on_has_no_answer_yet() -> None:
    said = Conversation([{"role": "assistant", "content": "<think>Tea"}])
    (thought,) = columns.show(said, False, "en")[0]
    assert thought["metadata"]["title"] == "Thinking…"


def test_a_question_without_an_answer_goes_back_into_its_box() -> None:
    asked = {"role": "user", "content": "Who?"}
    said = Conversation([dict(asked)], [dict(asked), {"role": "assistant", "content": ""}])
    assert said.is_unanswered(("tuned", "base"))
    assert said.take_back(("tuned", "base")) == asked
    assert said == Conversation()
    answered = [dict(asked), {"role": "assistant", "content": "I."}]
    said = Conversation([dict(asked)], answered)
    assert not said.is_unanswered(("tuned", "base"))
    assert said.is_unanswered(("tuned",))


@pytest.mark.parametrize(
    ("base", "shown"), [("{home}/saves/models/tiny", "saves/models/tiny"), ("org/tiny", "org/tiny")]
)
def test_the_base_of_a_run_is_shown_as_the_list_of_models_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, shown: str
) -> None:
    """After Chat of a run the box of the model held its whole path, as the adapter names it."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    run = tmp_path / "saves" / "tiny" / "lora" / "one"
    run.mkdir(parents=True)
    (run / "adapter_model.safetensors").touch()
    config = {"base_model_name_or_path": base.format(home=tmp_path)}
    (run / "adapter_config.json").write_text(json.dumps(config))
    result = {"model_name_or_path": shown, "adapter_name_or_path": ["saves/tiny/lora/one"]}
    assert chat.open_run(run)["value"] == result
