"""Ollama's Modelfile for an exported folder: prompt template, stop texts and context length.

Nothing is looked up by the model's name: the chat template is rendered with marked texts, and the
text around them becomes Ollama's (Go) template.
"""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.data.rendering import RENDER_ERRORS, Template

CONTEXT = (
    8192  # tokens; Ollama reserves memory for all of them, so a model's whole range is too much
)
NAME = "Modelfile"
SYSTEM, FIRST, REPLY, SECOND = "System-2841", "First-2841", "Reply-2841", "Second-2841"


@dataclass(frozen=True)
class TemplateParts:
    """The texts that a chat template writes around those of a conversation.

    system_head, system_tail   before the system text, and between it and the first question; None
                               where the template has no place for it
    head                       before the first question where no system text is given
    question_tail              after every question
    reply_head                 then, before an answer that was given
    prompt                     then, where the answer is to be written
    between                    between an answer and the next question
    late                       the system text stands before the last question, not the first
    """

    head: str
    question_tail: str
    reply_head: str
    prompt: str
    between: str
    system_head: str | None = None
    system_tail: str = ""
    late: bool = False


def modelfile(template: Template, values: Arguments, context: int, weights: str = ".") -> str:
    """The text of a Modelfile; `context` is the context length in tokens, `weights` the path of the
    model, seen from the Modelfile."""
    lines = [f"FROM {weights}"]
    parts = template_parts(template)
    if parts is not None:
        lines.append(f'TEMPLATE """{go_template(parts)}"""')
    if values.default_system:
        lines.append(f'SYSTEM """{_break_quotes(str(values.default_system))}"""')
    lines += [f'PARAMETER stop "{_escape(stop)}"' for stop in template.ends]
    lines.append(f"PARAMETER num_ctx {min(context, CONTEXT)}")
    return "\n\n".join(lines[:-1]) + f"\n{lines[-1]}\n"


def template_parts(template: Template) -> TemplateParts | None:
    """The parts of a chat template, or None where it is too unusual to be taken apart."""
    talk = [_message("user", FIRST), _message("assistant", REPLY), _message("user", SECOND)]
    with_system = [_message("system", SYSTEM), _message("user", FIRST)]
    begin = _begin_token_remover(template.tokenizer)
    try:
        head, before_reply, between, before_prompt = _split(template, talk, (FIRST, REPLY, SECOND))
    except RENDER_ERRORS:
        return None
    same = os.path.commonprefix([before_reply, before_prompt])  # noqa: RUF071 (characters are meant)
    rest = (before_reply[len(same) :], before_prompt[len(same) :])
    plain = TemplateParts(begin(head), same, *rest, between)
    try:
        system_head, system_tail, _ = _split(template, with_system, (SYSTEM, FIRST))
        whole = template.write([with_system[0], *talk], None, add_generation_prompt=True)
    except RENDER_ERRORS:
        return plain
    late = whole.find(FIRST) < whole.find(SYSTEM)
    return dataclasses.replace(
        plain, system_head=begin(system_head), system_tail=system_tail, late=late
    )


def go_template(parts: TemplateParts) -> str:
    """The same texts as a template for Ollama, over its .Messages."""
    head, between = _literal(parts.head), _literal(parts.between)
    reply = f"{_literal(parts.reply_head)}{{{{ .Content }}}}"
    tail = _literal(parts.question_tail)
    if parts.late:
        system = (
            "{{ if and $.System (eq (len (slice $.Messages $i)) 1) }}{{ $.System }}"
            f"{_literal(parts.system_tail)}{{{{ end }}}}"
        )
        return (
            '{{ $before := "" }}{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}'
            f'{{{{ if eq $before "" }}}}{head}{{{{ else }}}}{between}{{{{ end }}}}'
            f"{system}{{{{ .Content }}}}{tail}{{{{ $before = .Role }}}}"
            f'{{{{ else if eq .Role "assistant" }}}}{reply}{{{{ end }}}}{{{{ end }}}}'
            f"{_literal(parts.prompt)}"
        )
    if parts.system_head is None:  # the system text goes before the first question, as in training
        system, after = f"{head}{{{{ .Content }}}}", "\n\n"
    else:
        system, after = f"{_literal(parts.system_head)}{{{{ .Content }}}}", parts.system_tail
    question = (
        f'{{{{ if eq $before "system" }}}}{_literal(after)}'
        f'{{{{ else if eq $before "" }}}}{head}{{{{ else }}}}{between}{{{{ end }}}}'
        f"{{{{ .Content }}}}{tail}"
    )
    return (
        '{{ $before := "" }}{{ range .Messages }}'
        f'{{{{ if eq .Role "system" }}}}{system}'
        f'{{{{ else if eq .Role "user" }}}}{question}'
        f"{{{{ else }}}}{reply}{{{{ end }}}}"
        "{{ $before = .Role }}{{ end }}"
        f"{_literal(parts.prompt)}"
    )


def _message(role: Any, content: str) -> Any:
    return {"role": role, "content": content}


def _split(template: Template, messages: list[Any], marks: tuple[str, ...]) -> list[str]:
    """Split a rendering at the marks. Raises ValueError if one is missing."""
    rest = template.write(messages, None, add_generation_prompt=True)
    parts = []
    for mark in marks:
        before, separator, rest = rest.partition(mark)
        if not separator:
            raise ValueError(f"{mark} is not in the rendering")
        parts.append(before)
    return [*parts, rest]


def _begin_token_remover(tokenizer: Any) -> Callable[[str], str]:
    """A function that removes the begin token where the tokenizer adds it, as Ollama's does."""
    begin = tokenizer.bos_token_id
    if begin is None or tokenizer("a")["input_ids"][:1] != [begin]:
        return lambda text: text
    return lambda text: text.removeprefix(str(tokenizer.bos_token))


def _literal(text: str) -> str:
    """Escape text for Go's template engine and the Modelfile's quotes."""
    return _break_quotes(text).replace("{{", '{{ "{{" }}')


def _break_quotes(text: str) -> str:
    return text.replace('"""', '"\u200b""')


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
