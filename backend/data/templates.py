"""Choose the chat template: the tokenizer's own, a built-in one, or that of an earlier run."""

from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.models import template_names
from backend.contract.texts.problems import Problem, UsageError
from backend.data import builtin_templates
from backend.data.rendering import RENDER_ERRORS, Template, Tools
from backend.datafiles.turns import Message

# Conversations that two templates are compared on: plain, with a system text, with tools.
ASKED: Message = {"role": "user", "content": "What time is it?"}
SAID: Message = {"role": "assistant", "content": "It is noon."}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}
CALLED: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "clock0001",
            "type": "function",
            "function": {"name": "clock", "arguments": {"zone": "UTC"}},
        }
    ],
}
TOLD: Message = {"role": "tool", "name": "clock", "tool_call_id": "clock0001", "content": "12:00"}
TALKS: tuple[tuple[list[Message], Tools], ...] = (
    ([ASKED, SAID], None),
    ([{"role": "system", "content": "Be brief."}, ASKED, SAID], None),
    ([ASKED, CALLED, TOLD, SAID], [CLOCK]),
)
SHORT = 120  # characters of an excerpt


def load(values: Arguments, tokenizer: Any) -> Template:
    """Load the template that the argument `template` names; a tokenizer without one gets it.

    auto (or none) is what the model was trained with here, else the tokenizer's own; a tokenizer
    without one gets "default", with a notice. Raises UsageError for an unknown name (with a similar
    one) and for a template that cannot be rendered.
    """
    unknown = template_names.check(values.template)
    if unknown:
        raise UsageError(*unknown)
    name, folder = template_names.template_of(values), ""
    if name == template_names.AUTO:
        name, folder = template_names.read(values)
    own = own_template(tokenizer)
    notices: list[Problem] = []
    if name == template_names.AUTO and own:
        template = Template(tokenizer, own, values, with_tools=_tools_template(tokenizer))
    elif name == template_names.AUTO and values.stage == "pt":
        return Template(
            tokenizer, builtin_templates.jinja(builtin_templates.pieces("empty"), "", ""), values
        )
    else:
        if name == template_names.AUTO:
            notices.append(Problem(code="template_missing", field="template", notice=True))
            name = "default"
        elif not own:
            params = {"name": name}
            on_base = Problem(code="template_on_base", field="template", params=params, notice=True)
            notices.append(on_base)
        template = _build_named(name, tokenizer, values, notices)
        template.name = name
        notices += _notice_difference(template, own, values, folder)
    template.notices[:0] = notices
    if not own:
        tokenizer.chat_template = template.jinja
    return template


def own_template(tokenizer: Any) -> str:
    """The tokenizer's own template (of several the one without tools), or ""."""
    own = tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default") or next(iter(own.values()), None)
    return str(own or "")


def result_template(template: Template, values: Arguments) -> Template:
    """The template that is saved with a result: the tokenizer's own, whatever training used."""
    own = own_template(template.tokenizer)
    if own in {"", template.jinja}:
        return template
    try:
        return Template(template.tokenizer, own, values)
    except UsageError:
        return template


def _tools_template(tokenizer: Any) -> str:
    """The template for conversations with tools, where there are several (as transformers does)."""
    own = tokenizer.chat_template
    return str(own.get("tool_use") or "") if isinstance(own, dict) else ""


def _build_named(name: str, tokenizer: Any, values: Arguments, notices: list[Problem]) -> Template:
    """Build a built-in template with the tokenizer's tokens; another end token is a notice."""
    pieces = builtin_templates.pieces(name)
    known = tokenizer.get_added_vocab()
    end = pieces.end
    if not end or known.get(end) is None:
        if end:
            params = {"token": end, "name": name, "end": str(tokenizer.eos_token or "-")}
            notices.append(
                Problem(code="template_other_end", field="template", params=params, notice=True)
            )
        end = tokenizer.eos_token or end
    jinja = builtin_templates.jinja(pieces, bos_text(tokenizer), end)
    template = Template(tokenizer, jinja, values, pieces.default)
    template.stop_at([known[token] for token in pieces.stops if token in known])
    return template


def _notice_difference(
    template: Template, own: str, values: Arguments, folder: str
) -> list[Problem]:
    """A notice where the built-in template renders differently from the tokenizer's own, with
    excerpts of both.

    folder: the result whose training determined the name.
    """
    if own in {"", template.jinja}:
        return []
    code = "template_as_trained" if folder else "template_not_own"
    other = result_template(template, values)
    pairs = (difference(template, other, *talk) for talk in TALKS)
    excerpts = next((pair for pair in pairs if pair), None)
    if excerpts is None:
        return []
    params = {"name": template.name, "path": folder, "ours": excerpts[0], "own": excerpts[1]}
    return [Problem(code=code, field="template", params=params, notice=True)]


def difference(
    ours: Template, own: Template, messages: list[Message], tools: Tools
) -> tuple[str, str] | None:
    """Excerpts of the first place where two templates render a conversation differently; None
    where they do not."""
    try:
        left, right = ours.render(messages, tools), own.render(messages, tools)
    except RENDER_ERRORS:
        return None
    if left == right:
        return None
    pairs = enumerate(zip(left, right, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
    start = max(0, at - SHORT // 3)
    return repr(left[start : start + SHORT])[1:-1], repr(right[start : start + SHORT])[1:-1]


def bos_text(tokenizer: Any) -> str:
    """The token that the tokenizer itself puts before a text, or ""."""
    begin = tokenizer.bos_token_id
    if begin is None or tokenizer("a")["input_ids"][:1] != [begin]:
        return ""
    return str(tokenizer.bos_token)
