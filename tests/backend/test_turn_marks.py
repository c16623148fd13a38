"""One rendering has the prompts of all answers, where a template does not look ahead."""

import random
from typing import Any

import pytest

from backend.data import builtin_templates, rendering, turn_marks
from backend.data.rendering import RENDER_ERRORS, Template
from backend.data.turn_marks import mark_turns
from tests.backend.test_mask_rule import SHIPPED, load_template
from tests.backend.test_tokens import load_template as load_own

BITS = (
    *("你好", "👩‍👩‍👧", "\n", "  ", "a", "assistant", "<|im_end|>", "<|im_start|>assistant\n"),
    *("<think>", "</think>", "[INST]", "</s>", "{{ x }}", "0", "turn", "The end. "),
)
LOOP = "{% for message in messages %}"
TURN = "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
END = "{% endfor %}"
PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
# Templates whose turns, or whose end, depend on what comes later.
LOOKING_AHEAD = {
    "last": LOOP + TURN + "{% if loop.last %}LAST{% endif %}" + END + PROMPT,
    "length": LOOP + TURN + "{{ messages | length }}" + END + PROMPT,
    "loop length": LOOP + TURN + "{{ loop.length }}" + END + PROMPT,
    "next": LOOP + TURN + "{{ loop.nextitem.role }}" + END + PROMPT,
    "whole loop": LOOP + TURN + "{% set x = loop %}{{ x.last }}" + END + PROMPT,
    "last message": "{{ messages[-1].role }}" + LOOP + TURN + END + PROMPT,
    "second message": "{{ messages[1:][0].role }}" + LOOP + TURN + END + PROMPT,
    "shortened": "{% set messages = messages[1:] %}{{ messages[0].role }}" + LOOP + TURN + END,
    "another loop": "{% for m in messages %}{{ m.role }}{% endfor %}" + LOOP + TURN + END + PROMPT,
    "inner loop": LOOP + TURN + "{% for m in messages %}.{% endfor %}" + END + PROMPT,
    "chosen turns": "{% for message in messages if message.role != 'x' %}" + TURN + END + PROMPT,
    "prompt in the loop": LOOP + TURN + "{{ add_generation_prompt }}" + END + PROMPT,
    "end": LOOP + TURN + END + "{{ messages | length }}" + PROMPT,
    "end from the loop": "{% set ns = namespace(n=0) %}" + LOOP + TURN
    + "{% set ns.n = ns.n + 1 %}" + END + "{{ ns.n }}" + PROMPT,
    "macro": "{% macro f() %}{{ messages | length }}{% endmacro %}" + LOOP + "{{ f() }}" + TURN
    + END + PROMPT,
    "break": LOOP + TURN + "{% if message.content == 'x' %}{% break %}{% endif %}" + END + PROMPT,
    "another list": "{% set messages = messages | reverse | list %}" + LOOP + TURN + END + PROMPT,
}  # fmt: skip
GUARDED = {
    "tool": "{% if message.role == 'tool' %}{{ loop.last }}{% endif %}",
    "tool, in a word": "{{ message['role'] == 'tool' and loop.last }}",
    "calls": "{% if message.tool_calls %}{{ loop.last }}{% endif %}",
    "key of calls": "{{ loop.last if 'tool_calls' in message else '' }}",
}


def draw_talk(draw: random.Random) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": draw_text(draw)}] if draw.random() < 0.3 else []
    for _ in range(draw.choice([1, 1, 2, 4])):
        messages.append({"role": "user", "content": draw_text(draw)})
        messages.append({"role": "assistant", "content": draw_text(draw)})
    return messages


def draw_text(draw: random.Random) -> str:
    return "a" + "".join(draw.choices(BITS, k=draw.randint(1, 6)))


def check(template: Template, messages: list[dict[str, Any]]) -> bool:
    """Whether turns were found; if so, prompts and texts are those that the template writes."""
    ready, tools = template.fit(messages, None)
    turns = template.write_turns(ready, tools)
    if turns is None:
        return False
    assert turns.text == template.write(ready, tools)
    for index in range(1, len(ready)):
        if ready[index]["role"] == "assistant":
            assert turns.prompt(index) == template.write(ready[:index], tools, True)
            assert turns.until(index) == template.write(ready[: index + 1], tools)
    return True


def test_prompts_in_one_rendering_are_those_of_many() -> None:
    """On all templates that models come with and on our own: the same texts, to the letter."""
    draw = random.Random(5)
    turned = {}
    for name in [*SHIPPED, *(f"our {name}" for name in builtin_templates.BUILTIN)]:
        template, count = load_template(name), 0
        for _ in range(12):
            try:
                count += check(template, draw_talk(draw))
            except RENDER_ERRORS:
                continue
        turned[name] = count
    assert sum(count > 0 for count in turned.values()) >= 40
    for name in ("llama3", "gemma", "qwen2_5", "phi3", "our chatml", "our llama2", "our llama3"):
        assert turned[name] == 12
    assert turned["qwen3"] == 0  # it looks for the last question


@pytest.mark.parametrize("name", LOOKING_AHEAD)
def test_a_template_that_looks_ahead_is_rendered_for_each_answer(name: str) -> None:
    assert mark_turns(LOOKING_AHEAD[name]) is None
    assert mark_turns(LOOP + TURN + END + PROMPT) is not None


@pytest.mark.parametrize("name", GUARDED)
def test_what_only_turns_of_tools_reach_matters_to_them_alone(name: str) -> None:
    marked = mark_turns(LOOP + TURN + GUARDED[name] + END + PROMPT)
    assert marked is not None
    plain = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    call = {"role": "assistant", "content": "", "tool_calls": []}
    tooled = [plain[0], call, {"role": "tool", "content": "c"}, plain[1]]
    assert marked.fits(plain, None)
    assert not marked.fits(tooled, None)


def test_without_the_search_a_prompt_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the search is for: with it switched off, the first prompt has the end of the last."""
    talk = [{"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant")]
    own = LOOP + TURN + "{{ '~' if message.content == 'a' and not loop.last }}" + END + PROMPT
    assert not check(load_own(own=own), talk)
    monkeypatch.setattr(turn_marks, "_LookAhead", lambda *_: type("None", (), {"guards": set()}))
    marking = mark_turns.__wrapped__
    monkeypatch.setattr(rendering, "mark_turns", marking)
    with pytest.raises(AssertionError):
        check(load_own(own=own), talk)


@pytest.mark.parametrize(
    "start", ["{%- for message in messages -%}", "{% for message in messages +%}\n  ", LOOP + "\n "]
)
def test_the_mark_changes_no_blank(start: str) -> None:
    own = f"  {start}  {{%- if true %}}{TURN}{{% endif %}}\n {END}{PROMPT}"
    draw = random.Random(1)
    assert all(check(load_own(own=own), draw_talk(draw)) for _ in range(5))


def test_a_loop_in_a_comment_or_a_text_is_none() -> None:
    own = "{# {% for message in messages %} #}{{ '{% for message in messages %}' }}" + LOOP + TURN
    draw = random.Random(2)
    assert check(load_own(own=own + END + PROMPT), draw_talk(draw))
