"""Find where the turns of a conversation begin in one rendering of it, by a mark in the template.

Many templates (ChatML, Llama 3) write a turn without a look at the turns after it. Their prompt for
an answer is the text before the answer's turn and what they write behind any last turn, so one
rendering has all prompts in it. The syntax tree tells which templates do: all that may depend on
later turns is looked for. The mark stands behind the head of the loop over the messages; a marked
template is taken only if its tree is otherwise the same.
"""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from jinja2 import nodes

from backend.data import template_fields
from backend.datafiles.turns import Message

NAME = "mark_of_a_turn"  # the variable of the mark in the template
MARK = f"turn {secrets.token_hex(16)} "
TOOLS, CALLS = " tools", " calls"  # no role begins with a blank
PROMPT = "add_generation_prompt"

# What a loop tells of itself that later turns do not change.
BACKWARD = {"first", "index", "index0", "previtem", "depth", "depth0", "cycle"}
# Of what the text behind the last turn may consist, so that it is the same for all rows.
FIXED = (
    *(nodes.Output, nodes.TemplateData, nodes.If, nodes.Name, nodes.Const, nodes.And, nodes.Or),
    *(nodes.Not, nodes.Compare, nodes.Operand, nodes.Test, nodes.CondExpr, nodes.Concat, nodes.Add),
)
ELSEWHERE = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)
OF_ROWS = {"messages", "tools", "documents"}
# What a template may set `tools` to: with these, a row without tools never has any.
NO_TOOLS = (nodes.Const(None), nodes.Name("custom_tools", "load"))  # Llama 3.1's; never passed

head = re.compile(r"\{%[-+]?\s*for\s+\w+\s+in\s+\w+\s*([-+]?)%\}")

Guards = frozenset[str]
ALWAYS: Guards = frozenset()


@dataclass(frozen=True)
class MarkedTemplate:
    """A template that writes MARK where a turn begins.

    looks_ahead: sets of features (roles, TOOLS, CALLS). Turns of a conversation that has all
    features of a set may depend on later ones.
    """

    jinja: str
    looks_ahead: frozenset[Guards]

    def fits(self, messages: list[Message], tools: Any) -> bool:
        """Whether no turn of this conversation depends on later ones."""
        if not self.looks_ahead:
            return True
        features = {message["role"] for message in messages}
        if tools is not None:
            features.add(TOOLS)
        if any("tool_calls" in message for message in messages):
            features.add(CALLS)
        return not any(guards <= features for guards in self.looks_ahead)


@dataclass(frozen=True)
class Turns:
    """A conversation as it is written, and the character at which each of its turns begins.

    tails: what the template writes behind the last turn, without and with a prompt for an answer.
    """

    text: str
    begins: list[int]
    tails: tuple[str, str]

    def prompt(self, index: int) -> str:
        """The turns before this one, with a prompt for an answer."""
        return self.text[: self.begins[index]] + self.tails[1]

    def until(self, index: int) -> str:
        """The turns up to and with this one."""
        if index + 1 == len(self.begins):
            return self.text
        return self.text[: self.begins[index + 1]] + self.tails[0]


@lru_cache(maxsize=64)
def mark_turns(jinja: str) -> MarkedTemplate | None:
    """The template with a mark; None where the turns of any conversation may look ahead."""
    tree = template_fields.parse(jinja)
    at = _find_loop(tree)
    if at is None:
        return None
    looks_ahead = _LookAhead(tree, at).guards
    if ALWAYS in looks_ahead:
        return None
    for place in head.finditer(jinja):
        mark = f"{{% if true %}}{{{{ {NAME} }}}}{{% endif {place[1]}%}}"
        marked = f"{jinja[: place.end()]}{mark}{jinja[place.end() :]}"
        if _is_same_but_for_mark(template_fields.parse(marked), tree, at):
            return MarkedTemplate(marked, frozenset(looks_ahead))
    return None


def split_marks(text: str) -> tuple[str, list[int]]:
    """The text without marks, and the characters at which they were."""
    parts = text.split(MARK)
    begins, length = [], 0
    for part in parts[:-1]:
        length += len(part)
        begins.append(length)
    return "".join(parts), begins


def _is_same_but_for_mark(marked: nodes.Template, tree: nodes.Template, at: int) -> bool:
    """Whether only the mark, at the begin of the loop's body, is new; it is taken out."""
    loop = marked.body[at] if at < len(marked.body) else None
    if not isinstance(loop, nodes.For) or not loop.body:
        return False
    mark = nodes.Output([nodes.Name(NAME, "load")])
    return loop.body.pop(0) == nodes.If(nodes.Const(True), [mark], [], []) and marked == tree


def _find_loop(tree: nodes.Template) -> int | None:
    """The place in the template's body of the only loop over the messages that stands there."""
    lists = _find_lists(tree)
    places = [at for at, node in enumerate(tree.body) if _is_plain_loop(node, lists)]
    return places[0] if len(places) == 1 else None


def _is_plain_loop(node: nodes.Node, lists: set[str]) -> bool:
    return (
        isinstance(node, nodes.For)
        and isinstance(node.iter, nodes.Name)
        and isinstance(node.target, nodes.Name)
        and node.iter.name in lists
        and not (node.test or node.else_ or node.recursive)
    )


def _find_lists(tree: nodes.Template) -> set[str]:
    """The names that only ever mean the messages from some message on."""
    values: dict[str, list[nodes.Node]] = {"messages": []}
    for assign in tree.find_all(nodes.Assign):
        if isinstance(assign.target, nodes.Name):
            values.setdefault(assign.target.name, []).append(assign.node)
    lists = {name for name, each in values.items() if _count_bindings(tree, name) == len(each)}
    while True:
        rest = {name for name in lists if all(_is_end_of(value, lists) for value in values[name])}
        if rest == lists:
            return lists
        lists = rest


def _count_bindings(tree: nodes.Template, name: str) -> int:
    return sum(each.name == name and each.ctx != "load" for each in tree.find_all(nodes.Name))


def _keeps_tools(tree: nodes.Template) -> bool:
    """Whether `tools` are those of the row wherever they are read."""
    own = nodes.Name("tools", "store")
    values = [assign.node for assign in tree.find_all(nodes.Assign) if assign.target == own]
    only_set = _count_bindings(tree, "tools") == len(values)
    return (
        only_set
        and not _count_bindings(tree, "custom_tools")
        and all(value in NO_TOOLS for value in values)
    )


def _is_end_of(value: nodes.Node, lists: set[str]) -> bool:
    """Whether an expression is one of these lists, or all of it from some place on."""
    if isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Slice):
        return _is_open_end(value.arg) and _is_end_of(value.node, lists)
    return isinstance(value, nodes.Name) and value.name in lists


def _is_open_end(cut: nodes.Slice) -> bool:
    start = cut.start
    from_front = isinstance(start, nodes.Const) and isinstance(start.value, int) and start.value > 0
    return from_front and cut.stop is None and cut.step is None


class _LookAhead:
    """Walks a template for what may depend on later turns; `guards` has for each such place the
    features that a conversation must have to come there."""

    def __init__(self, tree: nodes.Template, at: int) -> None:
        self.guards: set[Guards] = set()
        self._lists = _find_lists(tree)
        self._shortened: set[str] = set()  # lists that may begin with a later message by now
        self._bound = {each.name for each in tree.find_all(nodes.Name) if each.ctx != "load"}
        self._bound |= {each.name for each in tree.find_all(nodes.Macro)}
        self._knows_tools = _keeps_tools(tree)
        self._loops = False  # within the loop over the messages and no other
        self._in_macro = False
        loop = tree.body[at]
        assert isinstance(loop, nodes.For)
        assert isinstance(loop.target, nodes.Name)
        own = _count_bindings(tree, loop.target.name) == 1
        self._message = loop.target.name if own else ""
        self._walk_all(tree.body[:at], ALWAYS)
        self._loops = True
        self._walk_all(loop.body, ALWAYS)
        self._loops = False
        for node in tree.body[at + 1 :]:
            self._check_fixed(node)

    def _walk_all(self, each: Any, guards: Guards) -> None:
        for node in each:
            self._walk(node, guards)

    def _walk(self, node: nodes.Node, guards: Guards) -> None:
        walk = self._WALKS.get(type(node))
        if walk is not None:
            walk(self, node, guards)
        elif isinstance(node, ELSEWHERE):
            self.guards.add(ALWAYS)
        else:
            self._walk_all(node.iter_child_nodes(), guards)

    def _walk_if(self, node: Any, guards: Guards) -> None:
        self._walk(node.test, guards)
        self._walk_all(node.body, guards | self._guard(node.test))
        self._walk_all([*node.elif_, *node.else_], guards)

    def _walk_choice(self, node: Any, guards: Guards) -> None:
        self._walk(node.test, guards)
        self._walk(node.expr1, guards | self._guard(node.test))
        self._walk_all(filter(None, [node.expr2]), guards)

    def _walk_and(self, node: Any, guards: Guards) -> None:
        self._walk(node.left, guards)
        self._walk(node.right, guards | self._guard(node.left))

    def _walk_loop(self, node: Any, guards: Guards) -> None:
        """Walk another loop, whose own `loop` tells nothing of turns."""
        self._walk(node.iter, guards)
        loops, self._loops = self._loops, False
        self._walk_all([*filter(None, [node.test]), *node.body], guards)
        self._loops = loops
        self._walk_all(node.else_, guards)

    def _walk_macro(self, node: Any, guards: Guards) -> None:
        """Walk a macro, which may be called anywhere."""
        before = self._loops, self._in_macro
        self._loops, self._in_macro = False, True
        self._walk_all([*node.defaults, *node.body], guards)
        self._loops, self._in_macro = before

    def _walk_assignment(self, node: Any, guards: Guards) -> None:
        if not _is_end_of(node.node, self._lists):
            self._walk(node.node, guards)
        elif isinstance(node.node, nodes.Getitem) or node.node.name in self._shortened:
            self._shortened.add(getattr(node.target, "name", ""))

    def _walk_item(self, node: Any, guards: Guards) -> None:
        """Walk an item; the first message is there for every turn that has a prompt."""
        name = node.node.name if isinstance(node.node, nodes.Name) else ""
        whole = name in self._lists and name not in self._shortened and not self._in_macro
        if not (whole and node.arg == nodes.Const(0)):
            self._walk_all(node.iter_child_nodes(), guards)

    def _walk_attribute(self, node: Any, guards: Guards) -> None:
        of_loop = isinstance(node.node, nodes.Name) and node.node.name == "loop"
        if not (of_loop and node.attr in BACKWARD):
            self._walk(node.node, guards)

    def _walk_name(self, node: Any, guards: Guards) -> None:
        if node.name in self._lists | {PROMPT, NAME} or (node.name == "loop" and self._loops):
            self.guards.add(guards)

    def _end(self, _: Any, guards: Guards) -> None:
        self.guards.add(guards)

    def _guard(self, test: nodes.Node) -> Guards:
        """Features without which this condition is false."""
        if isinstance(test, nodes.And):
            return self._guard(test.left) | self._guard(test.right)
        if isinstance(test, nodes.Not) and isinstance(test.node, nodes.Test):
            is_none = test.node.name == "none"
            return self._guard(test.node.node) & {TOOLS} if is_none else ALWAYS
        if isinstance(test, nodes.Test) and test.name == "defined":
            return self._guard(test.node) & {CALLS}
        if isinstance(test, nodes.Compare) and len(test.ops) == 1:
            return self._guard_of_comparison(test.expr, test.ops[0])
        if test == nodes.Name("tools", "load") and self._knows_tools:
            return frozenset({TOOLS})
        return frozenset({CALLS}) if self._field(test) == "tool_calls" else ALWAYS

    def _guard_of_comparison(self, left: nodes.Node, operand: nodes.Operand) -> Guards:
        right = operand.expr
        if operand.op == "in" and left == nodes.Const("tool_calls") and self._is_message(right):
            return frozenset({CALLS})
        if operand.op == "eq" and self._field(left) == "role" and isinstance(right, nodes.Const):
            return frozenset({str(right.value)})
        return ALWAYS

    def _field(self, node: nodes.Node) -> str:
        """The field of a message that an expression is; "" for any other expression."""
        if isinstance(node, nodes.Getattr) and self._is_message(node.node):
            return node.attr
        if isinstance(node, nodes.Getitem) and self._is_message(node.node):
            return str(node.arg.value) if isinstance(node.arg, nodes.Const) else ""
        return ""

    def _is_message(self, node: nodes.Node) -> bool:
        return isinstance(node, nodes.Name) and node.name == self._message

    def _check_fixed(self, node: nodes.Node) -> None:
        """Note where the text behind the last turn may differ from row to row."""
        for each in (node, *node.find_all(nodes.Node)):
            of_rows = isinstance(each, nodes.Name) and each.name in self._bound | OF_ROWS
            if of_rows or not isinstance(each, FIXED):
                self.guards.add(ALWAYS)

    _WALKS: ClassVar[dict[type[nodes.Node], Callable[["_LookAhead", Any, Guards], None]]] = {
        nodes.If: _walk_if,
        nodes.CondExpr: _walk_choice,
        nodes.And: _walk_and,
        nodes.For: _walk_loop,
        nodes.Macro: _walk_macro,
        nodes.Assign: _walk_assignment,
        nodes.Getitem: _walk_item,
        nodes.Getattr: _walk_attribute,
        nodes.Name: _walk_name,
        nodes.Break: _end,
    }
