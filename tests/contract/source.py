"""What the source says about texts: problems that it can make and keys that it asks for."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
Scope = dict[str, list[ast.expr]]  # what is assigned to each name in one function


@dataclass(frozen=True)
class Made:
    """A problem that some line makes; `given` is None where its parameters cannot be read off."""

    place: str
    code: str
    given: frozenset[str] | None


@dataclass(frozen=True)
class Wrapper:
    """A function that makes a problem of the code that is given to it."""

    position: int
    parameter: str
    given: frozenset[str] | None
    passes_on: bool  # its own **keywords become parameters


def files() -> list[Path]:
    """The source files of app and backend."""
    return [path for name in ("app", "backend") for path in sorted((ROOT / name).rglob("*.py"))]


@cache
def parsed(path: Path) -> ast.Module:
    """A source file, parsed once for all tests that look at it."""
    return ast.parse(path.read_text(encoding="utf-8"))


def trees() -> dict[str, ast.Module]:
    """Each source file of app and backend, parsed, by its path from the root of the repository."""
    return {str(path.relative_to(ROOT)): parsed(path) for path in files()}


def called(call: ast.Call) -> str:
    """The bare name of what is called."""
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def calls(tree: ast.AST) -> list[ast.Call]:
    """Every call inside."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@cache
def every_call() -> list[tuple[str, ast.Call]]:
    """(place, call) for every call in the source."""
    return [
        (f"{file}:{call.lineno}", call) for file, tree in trees().items() for call in calls(tree)
    ]


def literals(node: ast.AST | None, scope: Scope | None = None) -> list[str]:
    """Every string that an expression can be: a literal, branches of a condition, a local name."""
    if isinstance(node, ast.IfExp):
        return literals(node.body, scope) + literals(node.orelse, scope)
    if isinstance(node, ast.BoolOp):
        return [text for value in node.values for text in literals(value, scope)]
    if isinstance(node, ast.Name):
        return [text for value in (scope or {}).get(node.id, []) for text in literals(value)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


@cache
def made_problems() -> list[Made]:
    """Every problem that the source can make, directly or through a function of the same file."""
    return [made for file, tree in trees().items() for made in _made(file, tree)]


def _made(file: str, tree: ast.Module) -> Iterator[Made]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    wrappers = {f.name: found for f in functions if (found := _wrapper(f))}
    makers = {"Problem", "Rule", "_Refused", *wrappers}
    inside = {id(call): f for f in functions for call in calls(f)}  # inner ones come later
    for call in calls(tree):
        place, name = f"{file}:{call.lineno}", called(call)
        if name not in makers:
            continue
        function = inside.get(id(call))
        scope = _scope(function) if function else {}
        if name in {"Problem", "Rule"}:
            given = _given(call, scope)
            code = _keyword(call, "code")
        elif name in wrappers:
            wrapper = wrappers[name]
            given, code = _passed(call, wrapper), _argument(call, wrapper)
        else:  # _Refused, which becomes a problem of the file with its line
            given = frozenset({"file", "line", *(k.arg or "" for k in call.keywords)})
            code = call.args[0]
        yield from (Made(place, text, given) for text in literals(code, scope))


def _wrapper(function: ast.FunctionDef) -> Wrapper | None:
    names = [a.arg for a in function.args.args if a.arg not in {"self", "cls"}]
    for call in calls(function):
        code = _keyword(call, "code")
        if called(call) == "Problem" and isinstance(code, ast.Name) and code.id in names:
            rest = function.args.kwarg.arg if function.args.kwarg else ""
            given = _given(call, _scope(function) | {rest: [ast.Dict([], [])]})
            return Wrapper(names.index(code.id), code.id, given, bool(rest))
    return None


def _passed(call: ast.Call, wrapper: Wrapper) -> frozenset[str] | None:
    names = [keyword.arg for keyword in call.keywords if keyword.arg]
    if wrapper.given is None or len(names) < len(call.keywords):
        return None
    return wrapper.given | (frozenset(names) if wrapper.passes_on else frozenset())


def _argument(call: ast.Call, wrapper: Wrapper) -> ast.expr | None:
    if wrapper.position < len(call.args):
        return call.args[wrapper.position]
    return _keyword(call, wrapper.parameter)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _given(call: ast.Call, scope: Scope) -> frozenset[str] | None:
    params = _keyword(call, "params")
    return frozenset() if params is None else _keys(params, scope)


def _keys(node: ast.expr, scope: Scope) -> frozenset[str] | None:
    """The keys of a dict as far as the source shows them, else None."""
    if isinstance(node, ast.Name) and len(scope.get(node.id, [])) == 1:
        return _keys(scope[node.id][0], {})
    if not isinstance(node, ast.Dict):
        return None
    keys: frozenset[str] = frozenset()
    for key, value in zip(node.keys, node.values, strict=True):
        more = _keys(value, scope) if key is None else frozenset(literals(key))
        if more is None:
            return None
        keys |= more
    return keys


def _scope(function: ast.FunctionDef) -> Scope:
    scope: Scope = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name, value in _pairs(target, node.value):
                    scope.setdefault(name, []).append(value)
    return scope


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=False)
        return [pair for one, other in pairs for pair in _pairs(one, other)]
    return [(target.id, value)] if isinstance(target, ast.Name) else []


@cache
def constants() -> frozenset[str]:
    """Every string literal of the source."""
    return frozenset(
        node.value
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def _built() -> list[re.Pattern[str]]:
    """What f-strings such as f"tab.{name}" can give, as patterns."""
    patterns = []
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[\w.-]+"
                    for part in node.values
                ]
                if re.match(r"[a-z_]+\\\.", text := "".join(parts)):
                    patterns.append(re.compile(text))
    return patterns


def is_used(key: str) -> bool:
    """Whether the source names this key, or builds keys that look like it."""
    return key in constants() or any(pattern.fullmatch(key) for pattern in _built())
