"""Render messages with a chat template (Jinja), as text and as token ids.

Jinja is rendered by transformers' immutable sandbox, in worker processes only.
"""

from collections.abc import Mapping
from copy import copy
from itertools import product
from typing import Any

import jinja2

from backend.contract.arguments.field import Value
from backend.contract.arguments.typed import Arguments
from backend.contract.models import template_names
from backend.contract.texts.problems import Problem, UsageError
from backend.data import template_fields, template_input, toolcalls
from backend.data.render_limit import RenderTimeoutError, limit_rendering
from backend.data.template_input import Digits, hide, show
from backend.data.turn_marks import MARK, NAME, Turns, mark_turns, split_marks
from backend.datafiles.turns import THOUGHTS, Message

Tools = list[dict[str, Any]] | None

# Errors that a template written by others can raise.
RENDER_ERRORS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
QUESTION: Message = {"role": "user", "content": "Question-7351"}
ANSWER: Message = {"role": "assistant", "content": "Answer-7351"}
SYSTEM: Message = {"role": "system", "content": "System-7351"}
TOOL = {
    "type": "function",
    "function": {
        "name": "tool_7351",
        "description": "",
        "parameters": {"type": "object", "properties": {}},
    },
}

CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "function": {"name": "tool_7351", "arguments": {"key": "Value-7351"}},
        }
    ],
}
RESULT: Message = {
    "role": "tool",
    "content": "Result-7351",
    "name": "tool_7351",
}

SWITCHES = ("enable_thinking", "thinking")  # variables that switch thinking on and off
MAX_GROWTH = 10_000_000  # characters that a template may write of its own


class Template:
    """Renders messages as text and ids. It is picklable, for the processes that tokenize.

    name      the name that it goes by; auto is the tokenizer's own
    jinja     the template
    reads     the fields of messages and the variables that it reads
    stop_ids  ids that end an answer
    ends      their texts: what ends a learned answer
    answer_ends  the id of the token that this template writes behind an answer, if it does
    end       its text, or ""
    notices   what the person should know about the choice
    in_parts  this template takes a text as a list of parts (those of models that see images)
    """

    def __init__(
        self,
        tokenizer: Any,
        jinja: str,
        values: Arguments,
        default: str = "",
        with_tools: str = "",
    ) -> None:
        """`default`: the system text where neither row nor arguments have one; `with_tools`:
        another template for conversations that have tools.

        Raises UsageError where the template cannot write a plain question and answer.
        """
        self.name = template_names.AUTO
        self.tokenizer = tokenizer
        self.jinja = jinja
        self._with_tools = with_tools or jinja
        self.default_system = values.default_system or ""
        self.notices: list[Problem] = []
        self._default = self.default_system or default
        self.reads = self._read()
        self._tails: dict[str, tuple[str, str] | None] = {}  # of templates, see write_turns
        self._given = self._thinking_variables(values.enable_thinking)
        self.in_parts = False
        whole = self._render_probe()
        tail = whole[whole.rfind(ANSWER["content"]) + len(ANSWER["content"]) :]
        self.answer_ends = self._end_ids(tail) if ANSWER["content"] in whole else []
        eos = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        self.stop_ids: tuple[int, ...] = ()
        self.ends: tuple[str, ...] = ()
        self.stop_at([*self.answer_ends, *eos])
        self.end = "".join(tokenizer.convert_ids_to_tokens(self.answer_ends))
        if not self.end:
            self.notices.append(Problem(code="template_without_end", field="template", notice=True))
        self.knows_system = self._shows(SYSTEM["content"], [SYSTEM, QUESTION], None)
        self.knows_tools = self._shows("tool_7351", [QUESTION], [TOOL])
        self.knows_calls, self._ids, self._as_texts = self._call_form()
        self.knows_greeting = self._shows(ANSWER["content"], [ANSWER, QUESTION], None)
        self.knows_late_system = self._puts_late_system_in_place()

    def _puts_late_system_in_place(self) -> bool:
        try:
            text = self.write([QUESTION, ANSWER, SYSTEM, QUESTION], None, True)
        except RenderTimeoutError:
            raise
        except RENDER_ERRORS:
            return False
        return 0 <= text.find(ANSWER["content"]) < text.find(SYSTEM["content"])

    def _call_form(self) -> tuple[bool, str, bool]:
        """Whether the template writes calls and results; also the form of ids that it needs for
        that, and whether it needs arguments as JSON text."""
        for ids, as_texts in product(("", *toolcalls.IDS), (False, True)):
            talk = toolcalls.set_call_ids([QUESTION, CALL, RESULT], ids)
            talk = toolcalls.write_arguments_as_text(talk) if as_texts else talk
            marks = ("tool_7351", "Value-7351", "Result-7351")
            if all(self._shows(mark, talk, None) for mark in marks):
                return True, ids, as_texts
        return False, "", False

    def _render_probe(self) -> str:
        """Render a plain question and answer, and find out in_parts. Raises UsageError."""
        try:
            if not self._shows(QUESTION["content"], [QUESTION], None):
                self.in_parts = True
                self.in_parts = self._shows(QUESTION["content"], [QUESTION], None)
            self.write([QUESTION], None, True)
            return self.write([QUESTION, ANSWER], None)
        except RENDER_ERRORS as error:
            raise _broken_error(error) from None

    def _read(self) -> template_fields.Reads:
        try:
            return template_fields.reads(self.jinja) | template_fields.reads(self._with_tools)
        except RENDER_ERRORS as error:
            raise _broken_error(error) from None

    def _thinking_variables(self, thinking: Value) -> dict[str, Any]:
        """The template's variables for enable_thinking; none where it is not set, so that the
        template's own default holds."""
        if thinking is None:
            return {}
        switch = self._switch
        if switch is None:
            self.notices.append(
                Problem(code="thinking_not_switched", field="enable_thinking", notice=True)
            )
            return {}
        return {switch: bool(thinking)}

    @property
    def _switch(self) -> str | None:
        """The variable that switches thinking on and off; None where there is none."""
        return next((name for name in SWITCHES if name in self.reads.variables), None)

    def with_thinking(self) -> "Template | None":
        """This template with thinking switched on; None where it has no switch or it is on."""
        if self._switch is None or self._given.get(self._switch):
            return None
        thinking = copy(self)
        thinking._given, thinking._tails = {self._switch: True}, {}
        return thinking

    @property
    def reads_thoughts(self) -> bool:
        """Whether the template reads a thought from a field beside the content."""
        return any(not self.reads.ignores(name) for name in THOUGHTS)

    @property
    def thinks_in_content(self) -> bool:
        """Whether the template knows thoughts only within the content."""
        return not self.reads_thoughts and template_input.END_THINK in self.jinja

    def ignores(self, field: str) -> bool:
        """Whether this field of a message has no effect, under any name that it may get."""
        if field in THOUGHTS:
            return not (self.reads_thoughts or self.thinks_in_content)
        return self.reads.ignores(field)

    def stop_at(self, ids: list[int]) -> None:
        """Add tokens that end an answer."""
        self.stop_ids = tuple(dict.fromkeys([*self.stop_ids, *ids]))
        self.ends = tuple(self.tokenizer.convert_ids_to_tokens(list(self.stop_ids)))

    def render(
        self, messages: list[Message], tools: Tools = None, add_generation_prompt: bool = False
    ) -> str:
        """Render the conversation as text for the tokenizer. Raises one of RENDER_ERRORS."""
        return self.write(*self.fit(messages, tools), add_generation_prompt)

    def encode_prompt(
        self,
        messages: list[Message],
        tools: Tools = None,
        variables: Mapping[str, Any] | None = None,
    ) -> list[int]:
        """Render and encode the conversation up to where the answer begins.

        variables: further ones for the template (enable_thinking of one request, say).
        Raises UsageError where the template refuses these messages.
        """
        try:
            text = self.write(*self.fit(messages, tools), True, variables)
        except RENDER_ERRORS as error:
            params = {"reason": _reason(error)}
            raise UsageError(
                Problem(code="template_refuses", field="messages", params=params)
            ) from None
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def fit(self, messages: list[Message], tools: Tools) -> tuple[list[Message], Tools]:
        """Change the conversation to what this template can write.

        The default system text is put in. Where the template has no place for tools, they go into
        the system text; without one for a system text, it goes into the first question, and a later
        one into a turn of the user; a greeting of the assistant gets an empty question. Results of
        tools are put in the order of their calls where the template does not write ids.
        """
        if self.default_system and messages and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.default_system}, *messages]
        messages = [template_input.name_thought(message, self.reads) for message in messages]
        if self.ignores("tool_call_id"):
            messages = toolcalls.sort_results_by_call(messages)
        if not self.knows_tools and toolcalls.uses_tools(messages, tools):
            write = toolcalls.describe_tools if self.knows_calls else toolcalls.write_tools_in_words
            messages, tools = write(messages, tools, self._default), None
        messages = toolcalls.set_call_ids(messages, self._ids)
        if self._as_texts:
            messages = toolcalls.write_arguments_as_text(messages)
        if not self.knows_greeting and template_input.greets(messages):
            messages = template_input.insert_empty_question(messages)
        if not self.knows_system and len(messages) > 1 and messages[0]["role"] == "system":
            messages = template_input.move_system_to_question(messages)
        if not self.knows_late_system and template_input.has_late_system(messages):
            messages = template_input.move_late_systems(messages)
        return messages, tools

    def write(
        self,
        messages: list[Message],
        tools: Tools,
        add_generation_prompt: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """As render, for a conversation that `fit` has already changed."""
        return self._write(self._jinja(tools), messages, tools, add_generation_prompt, variables)

    def write_turns(self, messages: list[Message], tools: Tools) -> Turns | None:
        """As write, with the place of each turn; None where a turn may depend on later ones."""
        jinja = self._jinja(tools)
        marked = mark_turns(jinja)
        if marked is None or not marked.fits(messages, tools):
            return None
        if jinja not in self._tails:
            self._tails[jinja] = self._find_tails(jinja, marked.jinja)
        tails = self._tails[jinja]
        if tails is None:
            return None
        text, begins = split_marks(self._write(marked.jinja, messages, tools, False, {NAME: MARK}))
        if len(begins) == len(messages) - 1 and messages[0]["role"] == "system":
            begins = [0, *begins]
        return Turns(text, begins, tails) if len(begins) == len(messages) else None

    def _find_tails(self, jinja: str, marked: str) -> tuple[str, str] | None:
        """What the template writes behind the last turn, without and with a prompt; None where it
        does not write turns as the marked template does."""
        talk = [QUESTION, ANSWER, QUESTION]
        try:
            text, begins = split_marks(self._write(marked, talk, None, False, {NAME: MARK}))
            texts = [self._write(jinja, talk[:2], None, prompt) for prompt in (False, True)]
        except RenderTimeoutError:
            raise
        except RENDER_ERRORS:
            return None
        before = text[: begins[-1]] if len(begins) == len(talk) else None
        if before is None or not all(each.startswith(before) for each in texts):
            return None
        return texts[0][len(before) :], texts[1][len(before) :]

    def _jinja(self, tools: Tools) -> str:
        return self._with_tools if tools is not None else self.jinja

    def _write(
        self,
        jinja: str,
        messages: list[Message],
        tools: Tools,
        add_generation_prompt: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """Write a conversation with this one of the templates."""
        if self.in_parts:
            messages = [
                {**message, "content": [{"type": "text", "text": message["content"]}]}
                for message in messages
            ]
        digits: Digits = {}
        messages, tools = hide(messages, digits), hide(tools, digits)
        with limit_rendering():
            text: str = self.tokenizer.apply_chat_template(
                messages,
                tools=tools,
                chat_template=jinja,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **{**self._given, **(variables or {})},
            )
        if len(text) > MAX_GROWTH:
            growth = len(text) - 100 * sum(len(str(message)) for message in messages)
            if growth > MAX_GROWTH:
                raise ValueError(f"it writes {len(text):,} characters")
        return show(text, digits)

    def _shows(self, text: str, messages: list[Message], tools: Tools) -> bool:
        try:
            return text in self.write(messages, tools, True)
        except RenderTimeoutError:
            raise
        except RENDER_ERRORS:
            return False

    def _end_ids(self, tail: str) -> list[int]:
        """The id of the first special token behind an answer, as a list; [] where there is none."""
        special = {
            index for index, token in self.tokenizer.added_tokens_decoder.items() if token.special
        } | set(self.tokenizer.all_special_ids)
        ids = self.tokenizer(tail, add_special_tokens=False)["input_ids"]
        return [int(index) for index in ids if index in special][:1]


def _broken_error(error: BaseException) -> UsageError:
    params = {"reason": _reason(error)}
    return UsageError(Problem(code="template_broken", field="template", params=params))


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
