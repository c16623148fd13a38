"""Ollama's template writes the same prompt as the chat template, for every built-in template.

No Go here: the few forms of Go's template language that we write are read as Jinja.
"""

import re
from typing import Any

import jinja2
import pytest

from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.data import builtin_templates, templates
from backend.export.modelfile import go_template, modelfile, template_parts
from tests.backend.conftest import CHATML, make_tokenizer

FORMS = {
    r'\$before := ""': "set here.before = ''",
    r"range (\$i, \$_ := )?\.Messages": "for message in messages",
    r"if and \$\.System \(eq \(len \(slice \$\.Messages \$i\)\) 1\)": (
        "if messages[0].role == 'system' and loop.last"
    ),
    r"else": "else",
    r"\$before = \.Role": "set here.before = message.role",
}
TALKS = {
    "question": "u",
    "system": "su",
    "turns": "uau",
    "system and turns": "suau",
}
ROLES = {"s": "system", "u": "user", "a": "assistant"}


def conversation(letters: str) -> list[Any]:
    return [
        {"role": ROLES[letter], "content": f"text {number} of {letter}"}
        for number, letter in enumerate(letters)
    ]


def as_jinja(text: str) -> str:
    """The Go template in Jinja; a form that is not known here fails."""
    open_blocks: list[str] = []

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code == ".Content":
            return "{{ message.content }}"
        if code == "$.System":
            return "{{ messages[0].content }}"
        if code == "end":
            return f"{{% end{open_blocks.pop()} %}}"
        test = re.fullmatch(r'(else )?if eq (\$before|\.Role) "(\w*)"', code)
        if test:
            if not test[1]:
                open_blocks.append("if")
            left = {"$before": "here.before", ".Role": "message.role"}[test[2]]
            return f'{{% {"elif" if test[1] else "if"} {left} == "{test[3]}" %}}'
        if code.startswith("range"):
            open_blocks.append("for")
        if code.startswith("if and"):
            open_blocks.append("if")
        return f"{{% {next(FORMS[form] for form in FORMS if re.fullmatch(form, code))} %}}"

    return re.sub(r"\{\{ (.*?) \}\}", one, text)


def ollama(text: str, messages: list[Any]) -> str:
    environment = jinja2.Environment(keep_trailing_newline=True)
    made = environment.from_string("{% set here = namespace() %}" + as_jinja(text))
    return made.render(messages=messages)


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("name", ["auto", *sorted(builtin_templates.BUILTIN)])
def test_both_write_the_same_prompt(tiny_tokenizer: Any, name: str, talk: str) -> None:
    template = templates.load(resolve({"template": name}), make_tokenizer())
    around = template_parts(template)
    assert around is not None
    messages = conversation(TALKS[talk])
    wanted = template.render(messages, add_generation_prompt=True)
    assert ollama(go_template(around), messages) == wanted


def test_a_begin_token_that_the_tokenizer_adds_itself_is_not_written_twice() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer("<s>", template="{{ '<s>' }}" + CHATML)
    tokenizer.bos_token = "<s>"
    twice = template_parts(templates.load(Arguments(), tokenizer))
    assert twice is not None
    assert twice.head.startswith("<s><|im_start|>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    once = template_parts(templates.load(Arguments(), tokenizer))
    assert once is not None
    assert once.head.startswith("<|im_start|>")


def test_a_template_that_cannot_be_taken_apart_is_left_to_ollama(tiny_tokenizer: Any) -> None:
    one_question = (
        "{% for m in messages %}{% if loop.index > 2 %}{{ raise_exception('one question only') }}"
        "{% endif %}{{ m.content }}{% endfor %}"
    )
    template = templates.load(Arguments(), make_tokenizer(template=one_question))
    assert template_parts(template) is None
    assert "TEMPLATE" not in modelfile(template, Arguments(), 2048)


def test_quotes_and_braces_cannot_end_the_template() -> None:
    odd = '{{ \'""" {{ x }} \' }}' + CHATML
    text = modelfile(templates.load(Arguments(), make_tokenizer(template=odd)), Arguments(), 2048)
    assert text.count('"""') == 2
    assert '{{ "{{" }} x }}' in text


def test_a_default_system_text_and_a_long_range(tiny_tokenizer: Any) -> None:
    values = resolve({"default_system": "Answer briefly."})
    text = modelfile(templates.load(values, make_tokenizer()), values, 131072)
    assert 'SYSTEM """Answer briefly."""' in text
    assert "PARAMETER num_ctx 8192\n" in text
