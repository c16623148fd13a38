"""Notices where template, model and rows do not fit."""

from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.data import template_check, templates, tokens
from backend.data.examples import Maker
from backend.datafiles.formats import Conversation
from tests.backend.conftest import CHATML, make_tokenizer

ASK = {"role": "user", "content": "hello"}
SAY = {"role": "assistant", "content": "hi"}
PLAIN = Conversation([ASK, SAY])


def codes(
    rows: list[Conversation], jinja: str | None = CHATML, **values: Any
) -> dict[str, dict[str, Any]]:
    """The notices of the check, code to parameters."""
    options = {"stage": "sft", "cutoff_len": 512, **values}
    tokenizer = make_tokenizer(template=jinja)
    template = templates.load(resolve(options), tokenizer)
    maker = Maker(options["stage"], template, tokens.Policy.of(resolve(options)))
    examples = maker(list(enumerate(rows))).examples
    notices = template_check.check(template, jinja, resolve(options), rows, examples)
    assert all(notice.notice and notice.text() and notice.text("zh") for notice in notices)
    return {notice.code: dict(notice.params) for notice in notices}


def test_nothing_to_say_of_the_models_own_template() -> None:
    assert codes([PLAIN]) == {}


def test_a_named_template_that_writes_otherwise() -> None:
    params = codes([PLAIN, PLAIN], template="alpaca")["template_differs"]
    assert (params["count"], params["rows"], params["name"]) == (2, 2, "alpaca")
    assert "<|im_start|>" in params["own"]
    assert "<|im_start|>" not in params["ours"]


def test_a_base_model() -> None:
    assert codes([PLAIN], None, template="alpaca")["template_on_base"] == {"name": "alpaca"}
    assert "template_missing" in codes([PLAIN], None)


def test_the_end_is_never_learned() -> None:
    long = Conversation([ASK, {"role": "assistant", "content": "long " * 99}])
    assert "template_end_not_learned" in codes([long], cutoff_len=32)
    assert "template_end_not_learned" not in codes([long, PLAIN], cutoff_len=32)


def test_system_text_is_folded() -> None:
    jinja = (
        "{% for message in messages %}{% if message['role'] != 'system' %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    system = Conversation([{"role": "system", "content": "be kind"}, ASK, SAY])
    params = codes([PLAIN, system], jinja)["template_folds_system"]
    assert (params["count"], params["rows"]) == (1, 2)


def test_thinking_is_dropped() -> None:
    jinja = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' "
        "+ message['content'].split('</think>')[-1] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    thinks = Conversation([ASK, {"role": "assistant", "content": "<think>so</think>hi"}])
    assert "template_drops_thoughts" not in codes([thinks])
    notices = codes([thinks], jinja)
    assert "template_writes_no_thoughts" in notices


THINKING = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.reasoning_content and CONDITION %}"
    "{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}"
    "{{ message.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_the_switch_is_named_only_where_it_helps() -> None:
    """The notice promised that enable_thinking true keeps a thought that Gemma 4's template writes
    beside tool calls only, and where it was true already."""
    thinks = Conversation([ASK, {**SAY, "reasoning_content": "Add the two."}])
    for condition, switch, expected in (
        ("enable_thinking", None, "template_drops_thoughts"),
        ("enable_thinking", False, "template_drops_thoughts"),
        ("enable_thinking", True, ""),
        ("message.tool_calls", None, "template_writes_no_thoughts"),
        ("message.tool_calls and enable_thinking", None, "template_writes_no_thoughts"),
        ("message.tool_calls and enable_thinking", True, "template_writes_no_thoughts"),
    ):
        jinja = THINKING.replace("CONDITION", condition)
        notices = codes([thinks, PLAIN], jinja, enable_thinking=switch)
        names = {name for name in notices if name.endswith("_thoughts")}
        assert names == ({expected} if expected else set()), (condition, switch)
        helped = int(expected == "template_drops_thoughts")
        if expected:
            assert notices[expected] == {"count": 1, "rows": 2, "kept": helped}


@pytest.mark.parametrize("stage", ["pt"])
def test_plain_text_needs_no_template(stage: str) -> None:
    assert codes([Conversation([], text="some text")], None, stage=stage) == {}
