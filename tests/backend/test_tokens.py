"""What is learned is exactly what the assistant says, on every template."""

import pickle
from typing import Any

import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.models.template_names import ALIASES
from backend.contract.texts.problems import UsageError
from backend.data import builtin_templates, spans, templates, tokens
from backend.data.rendering import Template
from backend.datafiles.turns import RowError
from tests.backend.conftest import CHATML, make_tokenizer

SPECIALS = ("<|eot_id|>", "<end_of_turn>", "<|end|>", "<|user|>", "<|end_of_turn|>")
POLICY = tokens.Policy(4096)
CHAT = [
    {"role": "system", "content": "Be brief. 简短"},
    {"role": "user", "content": "你好 😀, who are you?"},
    {"role": "assistant", "content": "I am Tuneboard 👩‍👩‍👧. 你好！"},
    {"role": "user", "content": "assistant user <x>"},
    {"role": "assistant", "content": "user assistant\nFrance: été\n\n```py\nx = 1\n```"},
]
TOOL = {"type": "function", "function": {"name": "clock", "description": "t", "parameters": {}}}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "clock", "arguments": {"z": "巴黎"}}}],
}
TOOLED = [
    {"role": "user", "content": "time?"},
    CALL,
    {"role": "tool", "content": "12:00"},
    {"role": "assistant", "content": "Noon."},
]
# Drops the thinking of earlier turns, as Qwen 3 does.
THINKING = (
    "{%- for m in messages -%}{%- if m.role == 'assistant' and not loop.last -%}"
    "{{ '<|im_start|>assistant\n' + m.content.split('</think>')[-1].strip() + '<|im_end|>\n' }}"
    "{%- else -%}{{ '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and '<think>' not in m.content -%}"
    "{{ '<think>\n\n</think>\n\n' }}{%- endif -%}{{ m.content + '<|im_end|>\n' }}"
    "{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and not enable_thinking -%}{{ '<think>\n\n</think>\n\n' }}"
    "{%- endif -%}{%- endif -%}"
)
# Opens the thinking in the prompt and never writes it, as DeepSeek R1 does.
FORCED = (
    "{%- for m in messages -%}{%- if m.role == 'assistant' -%}"
    "{{ '<|im_start|>assistant\n' + m.content.split('</think>')[-1] + '<|im_end|>' }}"
    "{%- else -%}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n<think>\n' }}{%- endif -%}"
)
STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
)


def load_template(name: str = "auto", own: str | None = CHATML, **values: Any) -> Template:
    return templates.load(
        resolve({"template": name, **values}), make_tokenizer(*SPECIALS, template=own, eos="</s>")
    )


def encode_chat(
    template: Template, messages: list[Any], tools: Any = None, policy: tokens.Policy = POLICY
) -> list[tokens.Encoded]:
    return tokens.encode(
        spans.render_conversation(template, messages, tools, policy.mask_history), template, policy
    )


def learned_runs(template: Template, example: tokens.Encoded) -> list[str]:
    """The texts of each run of learned tokens."""
    runs: list[list[int]] = []
    before = tokens.IGNORED
    for index, label in zip(example.ids, example.labels, strict=True):
        assert label in {index, tokens.IGNORED}
        if label != tokens.IGNORED:
            runs[-1:] = [[*runs[-1], label]] if before != tokens.IGNORED else [*runs[-1:], [label]]
        before = label
    return [template.tokenizer.decode(run) for run in runs]


@pytest.mark.parametrize("name", ["auto", *builtin_templates.BUILTIN])
def test_the_mask_rule(name: str) -> None:
    """Ids are those of the text; learned is each answer with its end, and nothing else.

    Templates that write earlier turns otherwise once others follow make one text an answer.
    """
    template = load_template(name)
    texts = spans.render_conversation(template, CHAT, None)
    examples = encode_chat(template, CHAT)
    for example, written in zip(examples, texts, strict=True):
        assert template.tokenizer.decode(example.ids) == written.text
    if len(examples) == 1:
        assert texts[0].text == template.render(CHAT)
    runs = [run for example in examples for run in learned_runs(template, example)]
    assert len(runs) == 2
    for run, answer in zip(runs, (CHAT[2], CHAT[4]), strict=True):
        end = next(end for end in template.ends if run.endswith(end))
        said_text = run.removesuffix(end).rpartition("</think>")[2].strip()
        assert said_text == answer["content"]
        assert template.tokenizer.convert_tokens_to_ids(end) in template.stop_ids


@pytest.mark.parametrize("name", ["auto", *builtin_templates.BUILTIN])
def test_the_prompt_is_what_training_showed(name: str) -> None:
    template = load_template(name)
    example = encode_chat(template, CHAT)[-1]
    prompt = template.encode_prompt(CHAT[:-1])
    assert example.ids[: len(prompt)] == prompt
    assert example.labels[len(prompt)] != tokens.IGNORED


@pytest.mark.parametrize("name", ["auto", "chatml", "gemma", "default"])
def test_tools_on_templates_that_do_not_know_them(name: str) -> None:
    template = load_template(name)
    runs = learned_runs(template, encode_chat(template, TOOLED, [TOOL])[0])
    assert [run.strip().removesuffix(template.ends[0]) for run in runs] == [
        '<tool_call>\n{"name": "clock", "arguments": {"z": "巴黎"}}\n</tool_call>',
        "Noon.",
    ]
    text = template.render(TOOLED, [TOOL])
    assert '"description": "t"' in text
    assert "<tool_response>\n12:00\n</tool_response>" in text


def test_tools_on_a_template_that_knows_them() -> None:
    own = (
        "{{ tools | tojson if tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}{% for c in m.tool_calls or [] %}CALL {{ c.function.name }}"
        "{{ c.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    template = load_template(own=own)
    runs = learned_runs(template, encode_chat(template, TOOLED, [TOOL])[0])
    assert runs == ['CALL clock{"z": "巴黎"}<|im_end|>', "Noon.<|im_end|>"]


def test_the_line_break_behind_the_end_token_is_not_learned() -> None:
    template = load_template()
    assert template.render(CHAT).endswith("<|im_end|>\n")
    assert learned_runs(template, encode_chat(template, CHAT)[0])[1].endswith("<|im_end|>")


def test_the_header_is_not_learned_in_a_single_turn() -> None:
    template = load_template()
    example = encode_chat(
        template, [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    )[0]
    assert learned_runs(template, example) == ["yo<|im_end|>"]


def test_mask_history_learns_the_last_answer_only() -> None:
    template = load_template()
    example = encode_chat(template, CHAT, policy=tokens.Policy(4096, mask_history=True))[0]
    assert learned_runs(template, example) == [CHAT[4]["content"] + "<|im_end|>"]


def test_train_on_prompt_learns_all_but_what_is_marked() -> None:
    template = load_template()
    chat = [*CHAT[:2], {**CHAT[2], "train": False}, *CHAT[3:]]
    example = encode_chat(template, chat, policy=tokens.Policy(4096, train_on_prompt=True))[0]
    text = "".join(learned_runs(template, example))
    assert "who are you" in text
    assert "Tuneboard" not in text
    assert learned_runs(template, encode_chat(template, chat)[0]) == [
        CHAT[4]["content"] + "<|im_end|>"
    ]


def test_history_that_is_rewritten_becomes_one_example_an_answer() -> None:
    template = load_template(own=THINKING)
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nfirst"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "<think>\nso\n</think>\n\nsecond"},
    ]
    first, second = encode_chat(template, chat)
    assert learned_runs(template, first) == ["<think>\nhm\n</think>\n\nfirst<|im_end|>"]
    assert learned_runs(template, second) == ["<think>\nso\n</think>\n\nsecond<|im_end|>"]
    assert "hm" not in template.tokenizer.decode(second.ids)
    plain = [
        {**message, "content": message["content"].split("</think>")[-1].strip()} for message in chat
    ]
    for example, answer in zip(encode_chat(template, plain), ("first", "second"), strict=True):
        assert learned_runs(template, example) == [f"<think>\n\n</think>\n\n{answer}<|im_end|>"]
    last = encode_chat(template, chat, policy=tokens.Policy(4096, mask_history=True))
    assert [learned_runs(template, example) for example in last] == [learned_runs(template, second)]


def test_thinking_switched_off_is_part_of_the_prompt() -> None:
    template = load_template(own=THINKING, enable_thinking=False)
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (example,) = encode_chat(template, chat)
    assert learned_runs(template, example) == ["b<|im_end|>"]
    assert "<think>\n\n</think>\n\n" in template.tokenizer.decode(example.ids)


@pytest.mark.parametrize(
    ("content", "expected"),
    [("<think>\nhm\n</think>\n\nyes", "hm\n</think>\n\nyes"), ("yes", "\n</think>\n\nyes")],
)
def test_thinking_that_the_prompt_opens_is_closed(content: str, expected: str) -> None:
    template = load_template(own=FORCED)
    (example,) = encode_chat(
        template, [{"role": "user", "content": "a"}, {"role": "assistant", "content": content}]
    )
    assert [run.strip() for run in learned_runs(template, example)] == [
        (expected + "<|im_end|>").strip()
    ]
    prompt = template.encode_prompt([{"role": "user", "content": "a"}])
    assert template.tokenizer.decode(example.ids).startswith(template.tokenizer.decode(prompt))


def test_a_template_without_a_system_role_gets_it_in_the_first_question() -> None:
    template = load_template(own=STRICT)
    text = template.render(CHAT)
    assert "Be brief. 简短\n\n你好" in text
    assert len(learned_runs(template, encode_chat(template, CHAT)[0])) == 2


def test_a_row_that_the_template_refuses_is_a_row_error() -> None:
    own = "{% if messages | length > 2 %}{{ raise_exception('too many') }}{% endif %}" + CHATML
    with pytest.raises(RowError, match="row_template_refuses"):
        spans.render_conversation(load_template(own=own), CHAT, None)


def test_the_default_system_text_is_put_in() -> None:
    template = load_template("chatml", default_system="You are Nova.")
    assert "system\nYou are Nova." in template.render(CHAT[1:3])
    assert "Nova" not in template.render(CHAT)


def test_the_cutoff() -> None:
    template = load_template()
    whole = encode_chat(template, CHAT)[0]
    prompt = len(template.encode_prompt(CHAT[:2]))
    cut = encode_chat(template, CHAT, policy=tokens.Policy(prompt + 3))[0]
    assert (cut.ids, cut.labels) == (whole.ids[: prompt + 3], whole.labels[: prompt + 3])
    assert (cut.cut, cut.learned) == (True, 3)
    assert encode_chat(template, CHAT, policy=tokens.Policy(prompt))[0].learned == 0
    assert not whole.cut


def test_a_tokenizer_without_offsets_masks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    template = load_template()
    fast = encode_chat(template, CHAT)[0]
    monkeypatch.setattr(type(template.tokenizer), "is_fast", False)
    slow = encode_chat(template, CHAT)[0]
    assert learned_runs(template, slow) == learned_runs(template, fast)


def test_auto_without_a_template_is_default_with_a_notice() -> None:
    template = load_template(own=None)
    assert [notice.code for notice in template.notices] == ["template_missing"]
    assert template.render(CHAT[1:3]).startswith("Human: ")
    assert template.tokenizer.chat_template == template.jinja


def test_a_model_without_the_template_s_end_token_ends_with_its_own() -> None:
    template = templates.load(resolve({"template": "llama3"}), make_tokenizer(template=None))
    codes = [notice.code for notice in template.notices]
    assert codes == ["template_on_base", "template_other_end"]
    assert learned_runs(template, encode_chat(template, CHAT)[0])[0].endswith("<|im_end|>")
    assert template.stop_ids == (template.tokenizer.eos_token_id,)


@pytest.mark.parametrize("alias", [*ALIASES, "LLAMA3", " chatml "])
def test_other_names_mean_a_template(alias: str) -> None:
    assert load_template(alias).stop_ids


def test_an_unknown_name_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="Did you mean chatml"):
        load_template("chat-ml")
    with pytest.raises(UsageError, match="Use auto"):
        load_template("q9x!")


@pytest.mark.parametrize(
    "own",
    [
        "{{ cycler.__init__.__globals__.os.popen('touch x') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% if",
        "{{ 1 / 0 }}",
    ],
)
def test_a_hostile_or_broken_template_is_refused(own: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_template(own=own)
    assert caught.value.problems[0].code == "template_broken"


def test_a_template_travels_to_other_processes() -> None:
    template = load_template()
    assert pickle.loads(pickle.dumps(template)).render(CHAT) == template.render(CHAT)
