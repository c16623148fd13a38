"""Which arguments the source reads: attributes of `Arguments`, and names that go where an
`ArgumentName` is wanted."""

import ast
from collections.abc import Iterator

from tests.contract.source import called

TYPE = "Arguments"
NAME = "ArgumentName"
MAKERS = {TYPE, "resolve", "of", "from_known"}  # calls that give Arguments


def read_names(trees: dict[str, ast.Module]) -> set[str]:
    """Every argument that a module reads."""
    wanting = {name for tree in trees.values() for name in _wanting(tree)}
    kept = {name for tree in trees.values() for name in _kept(tree)}
    return {
        name
        for tree in trees.values()
        for name in [*_attributes(tree, kept), *_typed(tree), *_handed(tree, wanting)]
    }


def read_of_fields(trees: dict[str, ast.Module]) -> set[str]:
    """The attributes of a Field that are read: of a variable that is called so, of FIELDS["a"],
    and by the methods of Field themselves."""
    return {
        node.attr
        for tree in trees.values()
        for root, variable in [(tree, "field"), *((own, "self") for own in _field_classes(tree))]
        for node in ast.walk(root)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).split("[")[0] in {variable, "FIELDS"}
    }


def _field_classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == "Field"]


def _attributes(tree: ast.Module, kept: set[str]) -> Iterator[str]:
    """What is read of variables, attributes and results that hold Arguments."""
    for function in [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]:
        own = _variables(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and _holds(node.value, own, kept):
                yield node.attr
            elif isinstance(node, ast.Subscript) and _holds(node.value, own, kept):
                yield from _texts(node.slice)
            elif isinstance(node, ast.Compare) and _holds(node.comparators[-1], own, kept):
                yield from _texts(node.left)


def _holds(node: ast.expr, variables: set[str], kept: set[str]) -> bool:
    """Whether an expression is one of these variables or attributes, or makes Arguments."""
    if isinstance(node, ast.Name):
        return node.id in variables
    if isinstance(node, ast.Attribute):
        return node.attr in kept
    return isinstance(node, ast.Call) and called(node) in MAKERS


def _variables(function: ast.FunctionDef) -> set[str]:
    """The parameters and variables of a function that hold Arguments."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    variables = {each.arg for each in parameters if _is_annotated(each.annotation, TYPE)}
    for node in ast.walk(function):
        targets, value = (node.targets, node.value) if isinstance(node, ast.Assign) else ([], None)
        if isinstance(value, ast.Call) and called(value) in {*MAKERS, "replace", "merge"}:
            variables |= {each.id for each in targets if isinstance(each, ast.Name)}
    return variables


def _kept(tree: ast.Module) -> Iterator[str]:
    """The attributes of classes that hold Arguments: declared so, or set from such a parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and _is_annotated(part.annotation, TYPE):
                    yield ast.unparse(part.target)
        elif isinstance(node, ast.FunctionDef) and node.name == "__init__":
            own = _variables(node)
            for part in ast.walk(node):
                if isinstance(part, ast.Assign) and _holds(part.value, own, set()):
                    yield from (t.attr for t in part.targets if isinstance(t, ast.Attribute))


def _typed(tree: ast.Module) -> Iterator[str]:
    """The texts of tables and of results whose type says that they are names of arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and node.value and _is_annotated(node.annotation, NAME):
            yield from _texts(node.value)
        elif isinstance(node, ast.FunctionDef) and _is_annotated(node.returns, NAME):
            for part in ast.walk(node):
                yield from _texts(part.value) if isinstance(part, ast.Return) and part.value else ()


def _wanting(tree: ast.Module) -> Iterator[str]:
    """The functions and classes that want the name of an argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            if any(_is_annotated(each.annotation, NAME) for each in node.args.args):
                yield node.name
        elif isinstance(node, ast.ClassDef):
            annotated = [part for part in node.body if isinstance(part, ast.AnnAssign)]
            if any(_is_annotated(part.annotation, NAME) for part in annotated):
                yield node.name


def _handed(tree: ast.Module, wanting: set[str]) -> Iterator[str]:
    """The texts in calls of what wants the name of an argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in wanting:
            for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield from _texts(part)


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _is_annotated(annotation: ast.expr | None, name: str) -> bool:
    """Whether an annotation is a type or names it, as `Arguments | None` does."""
    parts = ast.walk(annotation) if annotation else ()
    return any(isinstance(part, ast.Name) and part.id == name for part in parts)
