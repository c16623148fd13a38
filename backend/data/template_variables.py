"""Find the variables that a chat template takes from its caller, and which of them are switches.

jinja2's meta.find_undeclared_variables also names what a template sets in a branch or a macro and
reads after it; here names are followed through branches, loops and macros in their order.
"""

from collections.abc import Iterable

from jinja2 import nodes
from jinja2.defaults import DEFAULT_NAMESPACE

# Jinja's functions, and what it gives the bodies of loops, macros and blocks.
OF_JINJA = {*DEFAULT_NAMESPACE, "loop", "caller", "varargs", "kwargs", "self", "super"}
INNER = (nodes.Block, nodes.Scope, nodes.ScopedEvalContextModifier)
TRUTH_TESTS = {"defined", "undefined", "true", "false", "boolean", "none"}


def from_caller(tree: nodes.Template) -> frozenset[str]:
    """The names that are read where nothing before has set them."""
    scopes = _Scopes()
    scopes.walk_all(tree.body, set(OF_JINJA))
    return frozenset(scopes.free)


def switches(tree: nodes.Template, names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are true or false: the template defaults them to such a value,
    compares them with one, or only tests whether they are true."""
    everything = list(tree.find_all(nodes.Node))
    loads = [node for node in everything if isinstance(node, nodes.Name) and node.ctx == "load"]
    asked = [name for node in everything for name in _names_in_conditions(node)]
    tested = [name for node in everything for name in _names_in_tests(node)]
    harmless = {id(name) for name in (*asked, *tested)}
    used = {name.name for name in loads if id(name) not in harmless}
    only_asked = {name.name for name in asked} - used
    compared = {name for node in everything for name in _names_beside_booleans(node)}
    return frozenset(names) & (only_asked | compared)


class _Scopes:
    """Walks statements as they are rendered; `bound` are the names that are set by then."""

    def __init__(self) -> None:
        self.free: set[str] = set()

    def walk_all(self, body: Iterable[nodes.Node], bound: set[str]) -> None:
        """Walk one scope; the bodies of its macros come last, since they are called after the
        names of the scope are set."""
        macros: list[nodes.Macro] = []
        self._each(body, bound, macros)
        for macro in macros:
            names = {argument.name for argument in macro.args}
            self.walk_all(macro.body, bound | names)

    def _each(self, body: Iterable[nodes.Node], bound: set[str], macros: list[nodes.Macro]) -> None:
        for node in body:
            self._walk(node, bound, macros)

    def _walk(self, node: nodes.Node, bound: set[str], macros: list[nodes.Macro]) -> None:
        if isinstance(node, nodes.Name):
            if node.ctx == "load" and node.name not in bound:
                self.free.add(node.name)
            elif node.ctx != "load":
                bound.add(node.name)
        elif isinstance(node, nodes.Assign):
            self._each([node.node, node.target], bound, macros)
        elif isinstance(node, nodes.If):
            self._branches(node, bound, macros)
        elif isinstance(node, nodes.Macro):
            self._each(node.defaults, bound, macros)
            bound.add(node.name)
            macros.append(node)
        elif not self._inner(node, bound, macros):
            self._each(node.iter_child_nodes(), bound, macros)

    def _branches(self, node: nodes.If, bound: set[str], macros: list[nodes.Macro]) -> None:
        """Walk the branches: names set in one are unset in the others, and set after all."""
        self._walk(node.test, bound, macros)
        ends = [set(bound), set(bound)]
        for body, end in zip((node.body, node.else_), ends, strict=True):
            self._each(body, end, macros)
        before = set(bound)
        for test in node.elif_:
            end = set(before)
            self._walk(test, end, macros)
            ends.append(end)
        bound.update(*ends)

    def _inner(self, node: nodes.Node, bound: set[str], macros: list[nodes.Macro]) -> bool:
        """Walk a statement with a scope of its own; False where the node is none."""
        inner = set(bound)
        if isinstance(node, nodes.For):
            self._walk(node.iter, bound, macros)
            self._each([node.target, *filter(None, [node.test])], inner, macros)
            self.walk_all(node.body, inner)
            self.walk_all(node.else_, set(bound))
        elif isinstance(node, nodes.With):
            self._each([*node.values, *node.targets], inner, macros)
            self.walk_all(node.body, inner)
        elif isinstance(node, nodes.CallBlock):
            self._each([node.call, *node.defaults, *node.args], inner, macros)
            self.walk_all(node.body, inner)
        elif isinstance(node, nodes.AssignBlock):
            self.walk_all(node.body, inner)
            self._each([*filter(None, [node.filter]), node.target], bound, macros)
        elif isinstance(node, nodes.FilterBlock):
            self._walk(node.filter, bound, macros)
            self.walk_all(node.body, inner)
        elif isinstance(node, INNER):
            self.walk_all(node.iter_child_nodes(), inner)
        else:
            return False
        return True


def _names_in_conditions(node: nodes.Node) -> list[nodes.Name]:
    """The names whose truth is the condition of this node."""
    if isinstance(node, nodes.If | nodes.CondExpr):
        return _operands(node.test)
    if isinstance(node, nodes.Not):
        return _operands(node.node)
    return []


def _names_in_tests(node: nodes.Node) -> list[nodes.Name]:
    """The names that this node tests for being defined or a boolean."""
    if isinstance(node, nodes.Test) and node.name in TRUTH_TESTS:
        return _operands(node.node)
    return []


def _operands(node: nodes.Node) -> list[nodes.Name]:
    if isinstance(node, nodes.Name):
        return [node]
    if isinstance(node, nodes.And | nodes.Or):
        return [*_operands(node.left), *_operands(node.right)]
    return []


def _names_beside_booleans(node: nodes.Node) -> list[str]:
    """The names that this node sets to true or false, or compares with it."""
    pairs: list[tuple[nodes.Node | None, nodes.Node | None]] = []
    if isinstance(node, nodes.Assign):
        pairs = [(node.target, node.node)]
    elif isinstance(node, nodes.CondExpr):
        pairs = [(node.expr1, node.expr2), (node.expr2, node.expr1)]
    elif isinstance(node, nodes.Filter) and node.name in {"default", "d"} and node.args:
        pairs = [(node.node, node.args[0])]
    elif isinstance(node, nodes.Compare) and node.ops[0].op in {"eq", "ne"}:
        pairs = [(node.expr, node.ops[0].expr)]
    elif isinstance(node, nodes.Test) and node.name in {"true", "false", "boolean"}:
        return [operand.name for operand in _operands(node.node)]
    return [
        name.name
        for name, value in pairs
        if isinstance(name, nodes.Name)
        and isinstance(value, nodes.Const)
        and isinstance(value.value, bool)
    ]
