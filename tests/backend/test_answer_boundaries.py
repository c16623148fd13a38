"""The tokens of a row continue the tokens of its prompt, on every template and kind of tokenizer.

"\\n\\nBlue." behind ChatML's header was tokenized so that the header's line break and those of the
answer became one token, which no prompt ends with: what was learned could never be said. The right
value is transformers' own: apply_chat_template(..., add_generation_prompt=True), tokenized as a
whole, as every server does; what follows it in a row is the answer.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.data import builtin_templates, spans, templates, tokens
from backend.data.rendering import Template
from backend.datafiles.turns import RowError
from tests.backend.conftest import CHATML, make_tokenizer
from tests.backend.test_mask_rule import SHIPPED, special
from tests.backend.tokenizer_kinds import KINDS, make

POLICY = tokens.Policy(1_000_000)
ODD = (
    *("\n\nBlue.", "\n\n\nBlue", "\nBlue", " Blue", "  Blue", "   Blue", "\tBlue", "\r\nBlue"),
    *("    indented\n        twice", "\u00a0Blue", "▁Blue", "'s", "...", "!", "-", "7", "123"),
    *("\u0301a", "é", "你好", "😀", "\u200dx", "<b>", "[/INST]", ":", "Blue"),
)
ASK = {"role": "user", "content": "Which?"}
LLAMA3 = (
    "{% for m in messages %}<s>{{ m.role }}\n\n{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n\n{% endif %}"
)
SPACE = (
    "{% for m in messages %}{{ m.role | upper }}: {{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)


def answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def encode_chat(template: Template, messages: list[Any]) -> list[tokens.Encoded]:
    return tokens.encode(spans.render_conversation(template, messages, None), template, POLICY)


def runs(example: tokens.Encoded) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of learned tokens."""
    begin = None
    for place, label in enumerate([*example.labels, tokens.IGNORED]):
        if label != tokens.IGNORED and begin is None:
            begin = place
        elif label == tokens.IGNORED and begin is not None:
            yield begin, place
            begin = None


def prompt_ids(template: Template, messages: list[Any]) -> list[int]:
    """The prompt as transformers makes it, of messages that this template knows."""
    ready, tools = template.fit(messages, None)
    if template.in_parts:
        ready = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in ready]
    encoding = template.tokenizer.apply_chat_template(
        ready, tools=tools, chat_template=template.jinja, add_generation_prompt=True
    )
    return list(encoding["input_ids"])


def holds(template: Template, messages: list[Any]) -> int:
    """The rule, for each answer of a conversation; returns how many there were."""
    assert template.encode_prompt(messages[:1]) == prompt_ids(template, messages[:1])
    seen = 0
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    for example in encode_chat(template, messages):
        for begin, _ in runs(example):
            assert example.ids[:begin] == prompt_ids(template, messages[: places[seen]])
            seen += 1
    assert seen == len(places)
    return seen


def load(kind: str, jinja: str | None, name: str = "auto", **values: Any) -> Template:
    return templates.load(
        resolve({"template": name, **values}), make(kind, special(jinja) if jinja else [], jinja)
    )


def load_templates(kind: str) -> list[Template]:
    """All shipped templates, three more, and the named ones, on a tokenizer of this kind."""
    own = [load(kind, jinja) for jinja in (*SHIPPED.values(), LLAMA3, SPACE, CHATML)]
    return own + [load(kind, None, name) for name in builtin_templates.BUILTIN]


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_continues_its_prompt(kind: str) -> None:
    """One turn: each template sees a third of the odd begins, so that three see all of them."""
    seen = refused = 0
    templates_of_kind = load_templates(kind)
    for number, template in enumerate(templates_of_kind):
        for text in ODD[number % 3 :: 3]:
            try:
                seen += holds(template, [ASK, answer(text)])
            except RowError:  # gpt-oss and others refuse some texts in words
                refused += 1
    assert len(templates_of_kind) >= 60
    assert seen >= 0.95 * len(templates_of_kind) * len(ODD) // 3
    assert refused <= seen // 100


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_of_a_conversation_continues_its_own_prompt(kind: str) -> None:
    """Several turns: each prompt has the answers before it as a server tokenizes them."""
    chat = [ASK, answer("\n\nOne."), ASK, answer("  two\n"), ASK, answer("Three"), ASK, answer("4")]
    outcomes = [holds(template, chat) for template in load_templates(kind)]
    assert outcomes == [4] * len(outcomes)


def test_the_answer_keeps_its_line_breaks() -> None:
    """ChatML and Qwen's split: the header's line break is the prompt's, the answer's its own."""
    template = load("qwen", CHATML)
    (example,) = encode_chat(template, [ASK, answer("\n\nBlue.")])
    ((begin, end),) = runs(example)
    decode = template.tokenizer.decode
    assert decode(example.ids[:begin]).endswith("<|im_start|>assistant\n")
    assert decode(example.ids[begin:end]) == "\n\nBlue.<|im_end|>"
    whole = template.render([ASK, answer("\n\nBlue.")])
    joined = template.tokenizer(whole, add_special_tokens=False)["input_ids"]
    assert "\n\n\n" in [decode([index]) for index in joined]  # what was learned before
    assert "\n\n\n" not in [decode([index]) for index in example.ids]


def test_a_header_that_would_be_cut_in_two_stays_whole() -> None:
    """GPT-2's split gives the last of several line breaks to the next word: "\\n\\n" of Llama 3's
    header became "\\n", "\\n" before "Blue", though no character is in two tokens."""
    template = load("gpt2", LLAMA3)
    (example,) = encode_chat(template, [ASK, answer("Blue")])
    ((begin, _),) = runs(example)
    assert template.tokenizer.decode(example.ids[begin - 1]) == "\n\n"


def test_white_space_that_a_special_token_would_swallow_is_learned() -> None:
    """Phi-3's marks take the white space behind them (rstrip): the answer's was lost."""
    jinja = SHIPPED["phi3"]
    template = load("phi3", jinja)
    (example,) = encode_chat(template, [ASK, answer("\n\nBlue.")])
    ((begin, end),) = runs(example)
    assert template.tokenizer.decode(example.ids[begin:end]).startswith("\n\nBlue.<|end|>")


@pytest.mark.parametrize("kind", ["llama2", "mistral", "slow"])
def test_no_blank_is_put_before_an_answer(kind: str) -> None:
    """Such a tokenizer puts a blank before each text, also before an answer tokenized apart."""
    template = load(kind, SPACE)
    (example,) = encode_chat(template, [ASK, answer("Blue.")])
    text = template.tokenizer.decode(example.ids)
    assert "ASSISTANT: Blue." in text
    assert "ASSISTANT:  Blue." not in text


def test_only_an_answer_that_history_joins_ends_its_example() -> None:
    """Answers 1 and 3 are ordinary, 2 begins with line breaks: as history these join the header's,
    so what follows is another example, with the prompt that chatting would have."""
    template = load("qwen", CHATML)
    chat = [ASK, answer("One"), ASK, answer("\n\nTwo"), ASK, answer("Three"), ASK, answer("Four")]
    first, second = encode_chat(template, chat)
    decode = template.tokenizer.decode
    assert [decode(first.ids[a:b]) for a, b in runs(first)] == [
        "One<|im_end|>",
        "\n\nTwo<|im_end|>",
    ]
    assert [decode(second.ids[a:b]) for a, b in runs(second)] == [
        "Three<|im_end|>",
        "Four<|im_end|>",
    ]
    assert decode(second.ids) == template.render(chat)
    ordinary = [*chat[:3], answer("Two"), *chat[4:]]
    assert len(encode_chat(template, ordinary)) == 1


def test_what_is_not_learned_needs_no_prompt() -> None:
    template = load("qwen", CHATML)
    chat = [ASK, {**answer("\n\nOne"), "train": False}, ASK, answer("Two")]
    (example,) = encode_chat(template, chat)
    assert example.ids == template.tokenizer(template.render(chat))["input_ids"]
    assert len(list(runs(example))) == 1


def test_learning_the_prompt_learns_all_but_what_is_marked() -> None:
    template = load("qwen", CHATML)
    chat = [ASK, {**answer("\n\nOne"), "train": False}, ASK, answer("\n\nTwo")]
    policy = tokens.Policy(4096, train_on_prompt=True)
    examples = tokens.encode(spans.render_conversation(template, chat, None), template, policy)
    learned = "".join(
        template.tokenizer.decode(example.ids[a:b])
        for example in examples
        for a, b in runs(example)
    )
    assert "One" not in learned
    assert "\n\nTwo<|im_end|>" in learned
    assert "Which?" in learned


def test_ordinary_rows_are_tokenized_as_one_text() -> None:
    """Nothing else changes: the ids are those of the whole text."""
    template = templates.load(resolve({"template": "auto"}), make_tokenizer())
    chat = [ASK, answer("Blue."), ASK, answer("Green.")]
    (example,) = encode_chat(template, chat)
    text = template.render(chat)
    assert example.ids == template.tokenizer(text, add_special_tokens=False)["input_ids"]
