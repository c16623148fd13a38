"""Find the message fields and variables that a chat template reads, from its syntax tree.

Nothing is rendered. Names are followed through loops, `set`, namespaces, macros, slices and
filters, regardless of scope, so the result may have more than one conversation uses, never less.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols

from backend.data import template_variables

LIST, MESSAGE = "list of messages", "message"
# Filters by what becomes of a list of messages: it stays one, or one of them is taken.
STILL_LISTS = {"list", "reverse", "sort", "unique", "select", "reject", "selectattr", "rejectattr"}
TAKING_ONE = {"first", "last", "random"}
NAMING_A_FIELD = {"selectattr", "rejectattr", "map", "groupby", "sort", "unique"}
HARMLESS = {"length", "count", "default", "d"}
METHODS = {"get", "items", "keys", "values", "copy", "update"}
ANY = "*"

Kinds = frozenset[str]
NOTHING: Kinds = frozenset()


@dataclass(frozen=True)
class Reads:
    """Names of message fields (ANY where all of them may be read), of the variables from the
    caller, and of those variables that are true or false (switches)."""

    fields: frozenset[str]
    variables: frozenset[str]
    switches: frozenset[str]

    def ignores(self, field: str) -> bool:
        """Whether this field of a message has no effect."""
        return ANY not in self.fields and field not in self.fields

    def __or__(self, other: "Reads") -> "Reads":
        """The names that one or the other reads."""
        return Reads(
            self.fields | other.fields,
            self.variables | other.variables,
            self.switches | other.switches,
        )


class _Generation(Extension):
    """The tag with which transformers marks answers; its content is parsed as if without it."""

    tags = {"generation"}  # noqa: RUF012 (as the library declares it)

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def parse(jinja: str) -> nodes.Template:
    """The syntax tree of this template. Raises jinja2.TemplateSyntaxError."""
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    return environment.parse(jinja)


@lru_cache(maxsize=64)
def reads(jinja: str) -> Reads:
    """The names that this template reads. Raises jinja2.TemplateSyntaxError."""
    tree = parse(jinja)
    tracer = _Tracer(tree)
    variables = template_variables.from_caller(tree)
    switches = template_variables.switches(tree, variables)
    return Reads(frozenset(tracer.fields), variables, switches)


class _Tracer:
    """Follows messages through a tree until no name gets a new kind."""

    def __init__(self, tree: nodes.Template) -> None:
        self.fields: set[str] = set()
        self._kinds: dict[str, Kinds] = defaultdict(frozenset, messages=frozenset({LIST}))
        self._texts: dict[str, set[str]] = defaultdict(set)
        self._macros = {macro.name: macro for macro in tree.find_all(nodes.Macro)}
        self._grown = True
        while self._grown:
            self._grown = False
            for node in tree.find_all((nodes.For, nodes.Assign, nodes.Output, nodes.Expr)):
                self._visit(node)

    def _visit(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.For):
            self._loop(node)
        elif isinstance(node, nodes.Assign):
            self._assign(node.target, node.node)
        elif isinstance(node, nodes.Output):
            if any(MESSAGE in self._of(part) or LIST in self._of(part) for part in node.nodes):
                self.fields.add(ANY)
        else:
            self._of(node)

    def _loop(self, node: nodes.For) -> None:
        kinds = self._of(node.iter)
        if MESSAGE in kinds:  # its keys
            self.fields.add(ANY)
        if LIST in kinds:
            self._learn("loop.previtem", {MESSAGE})
            self._learn("loop.nextitem", {MESSAGE})
            for target in _names(node.target):
                self._learn(target, {MESSAGE})
        if isinstance(node.iter, nodes.List | nodes.Tuple):
            for target in _names(node.target):
                self._texts[target].update(_constants(node.iter.items))
                for item in node.iter.items:
                    self._learn(target, self._of(item))

    def _assign(self, target: nodes.Node, value: nodes.Node) -> None:
        if isinstance(value, nodes.Call) and _is_name(value.node, "namespace"):
            for name in _names(target):
                for pair in value.kwargs:
                    self._learn(f"{name}.{pair.key}", self._of(pair.value))
            return
        for name in _names(target):
            self._learn(name, self._of(value))
            self._texts[name].update(_constants([value]))

    def _learn(self, name: str, kinds: Iterable[str]) -> None:
        more = self._kinds[name] | frozenset(kinds)
        self._grown = self._grown or more != self._kinds[name]
        self._kinds[name] = more

    def _of(self, node: nodes.Node | None) -> Kinds:
        """The kinds of an expression; the fields that it reads are noted."""
        for kind, look in self._LOOKS.items():
            if isinstance(node, kind):
                return look(self, node)
        return NOTHING

    def _name(self, node: Any) -> Kinds:
        return self._kinds[node.name]

    def _attribute(self, node: Any) -> Kinds:
        kinds = self._of(node.node)
        if MESSAGE in kinds and node.attr not in METHODS:
            self.fields.add(node.attr)
        if isinstance(node.node, nodes.Name):
            return self._kinds[f"{node.node.name}.{node.attr}"]
        return NOTHING

    def _item(self, node: Any) -> Kinds:
        kinds = self._of(node.node)
        if MESSAGE in kinds:
            self._read(node.arg)
        if LIST not in kinds:
            return NOTHING
        return frozenset({LIST if isinstance(node.arg, nodes.Slice) else MESSAGE})

    def _read(self, key: nodes.Node) -> None:
        """Note the field under this key."""
        texts = _constants([key])
        if isinstance(key, nodes.Name):
            texts = self._texts[key.name]
        self.fields.update(texts or {ANY})

    def _call(self, node: Any) -> Kinds:
        called = node.node
        arguments = [*node.args, *(pair.value for pair in node.kwargs)]
        if isinstance(called, nodes.Getattr) and MESSAGE in self._of(called.node):
            if called.attr == "get" and node.args:
                self._read(node.args[0])
            elif called.attr in METHODS:
                self.fields.add(ANY)
        elif isinstance(called, nodes.Name) and called.name in self._macros:
            self._enter(self._macros[called.name], node)
        elif not _is_name(called, "namespace") and any(MESSAGE in self._of(x) for x in arguments):
            self.fields.add(ANY)
        return NOTHING

    def _enter(self, macro: nodes.Macro, call: Any) -> None:
        """Pass the kinds of a call's arguments to the parameters of its macro."""
        for parameter, value in zip(macro.args, call.args, strict=False):
            self._learn(parameter.name, self._of(value))
        for pair in call.kwargs:
            self._learn(pair.key, self._of(pair.value))

    def _filter(self, node: Any) -> Kinds:
        kinds = self._of(node.node)
        if node.name in NAMING_A_FIELD and LIST in kinds:
            named = [pair.value for pair in node.kwargs if pair.key == "attribute"]
            named += node.args[:1] if node.name in {"selectattr", "rejectattr", "groupby"} else []
            self.fields.update(text.partition(".")[0] for text in _constants(named))
        if node.name in STILL_LISTS:
            return kinds & {LIST}
        if node.name in TAKING_ONE:
            return frozenset({MESSAGE}) if LIST in kinds else NOTHING
        if node.name in {"default", "d"}:
            return kinds.union(*(self._of(argument) for argument in node.args))
        if kinds and node.name not in HARMLESS | {"map", "groupby"}:
            self.fields.add(ANY)
        return NOTHING

    def _comparison(self, node: Any) -> Kinds:
        for operand in node.ops:
            if operand.op in {"in", "notin"} and MESSAGE in self._of(operand.expr):
                self._read(node.expr)
        return NOTHING

    def _choice(self, node: Any) -> Kinds:
        return self._of(node.expr1) | self._of(node.expr2)

    def _both(self, node: Any) -> Kinds:
        return self._of(node.left) | self._of(node.right)

    def _collection(self, node: Any) -> Kinds:
        return (
            frozenset({LIST}) if any(MESSAGE in self._of(item) for item in node.items) else NOTHING
        )

    _LOOKS: ClassVar[dict[type[nodes.Node], Callable[["_Tracer", Any], Kinds]]] = {
        nodes.Name: _name,
        nodes.Getattr: _attribute,
        nodes.Getitem: _item,
        nodes.Call: _call,
        nodes.Filter: _filter,
        nodes.Compare: _comparison,
        nodes.CondExpr: _choice,
        nodes.BinExpr: _both,
        nodes.List: _collection,
        nodes.Tuple: _collection,
    }


def _names(target: nodes.Node) -> list[str]:
    """The names that a loop or `set` binds; of a namespace's attribute `name.attribute`."""
    if isinstance(target, nodes.NSRef):
        return [f"{target.name}.{target.attr}"]
    if isinstance(target, nodes.Name):
        return [target.name]
    return [name for item in getattr(target, "items", []) for name in _names(item)]


def _constants(items: Iterable[nodes.Node]) -> set[str]:
    """The texts that are written out in a template."""
    return {
        item.value
        for item in items
        if isinstance(item, nodes.Const) and isinstance(item.value, str)
    }


def _is_name(node: nodes.Node, name: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == name
