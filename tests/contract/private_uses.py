"""Finds where our code uses private members (`_name`) of other libraries: read off our source and,
for the classes of ours that stand on foreign ones, off these classes themselves.

Three ways are seen: a class of ours defines, reads or writes (also by a string) a name that a
foreign class under it has; `object._name` of a name that nothing of ours defines; getattr and its
like with such a name. Not seen: a private member that we reach on another object and whose name
something of ours has, too.
"""

import ast
import functools
import importlib
import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

OURS = {"app", "backend", "tests"}
BY_STRING = {"getattr", "setattr", "hasattr", "delattr"}
DOCUMENTED = {"_exit", "_replace"}  # of os and of named tuples
Uses = Mapping[str, set[str]]


def is_private(name: str) -> bool:
    """Whether a name has one leading underscore."""
    return name.startswith("_") and not name.startswith("__") and name.isidentifier()


def is_foreign(cls: type) -> bool:
    """Whether a class is of another library than ours and Python's own."""
    top = cls.__module__.partition(".")[0]
    return top not in OURS and top not in sys.stdlib_module_names


def class_at(path: str) -> type:
    """The class of a dotted path. Raises ImportError or AttributeError where it is gone."""
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    assert isinstance(cls, type)
    return cls


@functools.cache
def has(cls: type, name: str) -> bool:
    """Whether a class itself defines a name, or writes it on its objects."""
    return name in vars(cls) or name in _written(cls)


def inherited(classes: Iterable[type]) -> dict[str, set[str]]:
    """`library.module.Class._name` -> our files that use it, of classes that stand on foreign ones.

    The foreign class is the lowest one that has the name.
    """
    uses = defaultdict(set)
    for cls in classes:
        foreign = [base for base in reversed(cls.__mro__) if is_foreign(base)]
        for own in ours(cls) if foreign else []:
            for name in _names(_source(own)) | _strings(own.__module__):
                owner = next((base for base in foreign if has(base, name)), None)
                if owner:
                    key = f"{owner.__module__}.{owner.__qualname__}.{name}"
                    uses[key].add(own.__module__.replace(".", "/") + ".py")
    return uses


def ours(cls: type) -> list[type]:
    """The class and those under it that are ours."""
    return [each for each in cls.__mro__ if each.__module__.partition(".")[0] in OURS]


def our_classes(trees: Mapping[str, ast.Module]) -> Iterator[type]:
    """The classes at the top of our modules that stand on others."""
    for file, tree in trees.items():
        names = [each.name for each in tree.body if isinstance(each, ast.ClassDef) and each.bases]
        dotted = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        module = importlib.import_module(dotted) if names else None
        yield from (getattr(module, name) for name in names)


def reached(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """`_name` -> our files that use it on an object that is no `self`, where nothing is ours."""
    own = DOCUMENTED.union(*map(_defined, trees.values()))
    uses = defaultdict(set)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            name = _reached_name(node)
            if is_private(name) and name not in own:
                uses[name].add(file)
    return uses


def _reached_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and not _is_own(node.value):
        return node.attr
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) > 1:
        name = node.args[1]
        if node.func.id in BY_STRING and isinstance(name, ast.Constant):
            return str(name.value)
    return ""


def _is_own(node: ast.AST) -> bool:
    """Whether an expression is `self`, `cls` or `super()`: what `inherited` looks at."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in {"self", "cls", "super"}


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module gives to functions, classes, variables and attributes of `self`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= {node.attr} if _is_own(node.value) else set()
    return names


def _names(tree: ast.AST) -> set[str]:
    """Private names that a class defines, and attributes of itself that it reads or writes."""
    own = _defined(ast.Module([tree], [])) if isinstance(tree, ast.ClassDef) else set()
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _is_own(node.value)
    }
    return set(filter(is_private, own))


@functools.cache
def _strings(module: str) -> frozenset[str]:
    """Private names that stand in a module as strings."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return frozenset(each for each in constants if isinstance(each, str) and is_private(each))


def _source(cls: type) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]


@functools.cache
def _written(cls: type) -> frozenset[str]:
    """Attributes that the methods of a class write on its objects."""
    try:
        tree = _source(cls)
    except (OSError, TypeError, SyntaxError):  # no Python source
        return frozenset()
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and _is_own(node.value)
    )
