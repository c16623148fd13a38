"""Chat's "Show text as it is": Gradio 6.31 obeyed HTML, entities and formulas in
it, and took tabs and indentation from each text, which the model was then told without them."""

from pathlib import Path

import gradio as gr

from app.tabs.chat import plain_chatbot
from app.tabs.chat.plain_chatbot import MARK, PlainChatbot

TEXTS = [
    "<b>x</b> &amp; $$y$$",
    "    indented\n\ttab\n",
    "",
    "plain",
    "<script>1</script>",
    "'\"&lt;",
]
TURNS = [{"role": role, "content": text} for text in TEXTS for role in ("user", "assistant")]


def texts(turns: list[dict[str, object]]) -> list[str]:
    return ["".join(part["text"] for part in turn["content"]) for turn in turns]  # type: ignore[attr-defined, index, misc]


def test_every_character_comes_back() -> None:
    with gr.Blocks():
        for markdown in (True, False):
            column = PlainChatbot(render_markdown=markdown)
            sent = column.postprocess(TURNS)
            shown = [part.text for turn in sent.root for part in turn.content]
            assert all(text.startswith(MARK) != markdown for text in shown)
            assert not any("<" in text.removeprefix(MARK) for text in shown) or markdown
            back = column.preprocess(sent)
            assert texts(back) == [turn["content"] for turn in TURNS]
            again = PlainChatbot(render_markdown=not markdown)  # the box was ticked meanwhile
            assert texts(again.preprocess(again.postprocess(back))) == texts(back)
            kept = [{**turn, "content": text} for turn, text in zip(TURNS, shown, strict=True)]
            assert texts(column.preprocess(column.postprocess(kept))) == texts(back)


def test_the_page_knows_it_and_nothing_is_written_beside_it() -> None:
    """Gradio writes a .pyi file beside the source of every subclass of its components."""
    assert PlainChatbot.__mro__[2] is gr.Chatbot
    with gr.Blocks():
        assert PlainChatbot().get_block_name() == "chatbot"
    assert not Path(plain_chatbot.__file__).with_suffix(".pyi").exists()
