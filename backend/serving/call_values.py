"""Convert arguments of tool calls, as models write them, into JSON values.

Some forms have strings without quotes (`<parameter=zip>75001</parameter>`): there the tool's JSON
schema decides the type. Others are Python-like or have quotes of their own.
"""

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

Json = dict[str, Any]

MAX_LITERAL = 100_000  # characters of a Python literal that are handed to the parser
KINDS: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}
NAME = re.compile(r"[\w./:-]+")
WORD = re.compile(r"[^,()\s]+")
BARE = re.compile(r"[^,{}\[\]]+")
CLOSE = re.compile(r"\s*\)")
KEY = re.compile(r"\s*([^\s=,()'\"]+)\s*=\s*")
# Behind a value: a comma, or the bracket that ends the call (further calls or nothing follow it).
NEXT = re.compile(r"\s*(,\s*|\)(?=[ \t]*(?:[\],;\n]|\Z)))")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no JSON")
    return value


# not strict: models write line breaks into strings
JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_finite, strict=False)


class NoCallError(ValueError):
    """A text is not a call, or not a value; it stays text."""


class Tools:
    """The functions in a request: their names, and the schemas of their arguments."""

    def __init__(self, tools: Sequence[Json] | None) -> None:
        functions = [tool.get("function", tool) for tool in tools or []]
        self._schemas = {
            str(function["name"]): function.get("parameters")
            for function in functions
            if isinstance(function, dict) and "name" in function
        }

    def __contains__(self, name: object) -> bool:
        return name in self._schemas

    def __bool__(self) -> bool:
        return bool(self._schemas)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all functions."""
        return tuple(self._schemas)

    def types(self, function: str, key: str) -> list[str]:
        """The JSON types that the schema allows for an argument, in its order; [] allows any."""
        root = self._schemas.get(function)
        return _types(_property(root, key), root)


def _property(root: Any, key: str) -> Any:
    if not isinstance(root, dict):
        return None
    properties = root.get("properties")
    if isinstance(properties, dict) and key in properties:
        return properties[key]
    return root.get("additionalProperties")


def _types(schema: Any, root: Any, depth: int = 0) -> list[str]:
    """The JSON types that a schema allows, in its order; [] where it has none."""
    if not isinstance(schema, dict) or depth > 8:
        return []
    declared = schema.get("type")
    types = [declared] if isinstance(declared, str) else list(declared or [])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if not types and isinstance(values, list):
        types = [_kind(value) for value in values]
    for union in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(union) or []:
            types += _types(choice, root, depth + 1)
    if isinstance(schema.get("$ref"), str):
        types += _types(_resolve_reference(schema["$ref"], root), root, depth + 1)
    return [*types, *(["null"] if schema.get("nullable") else [])]


def _resolve_reference(path: str, root: Any) -> Any:
    for part in path.removeprefix("#/").split("/"):
        root = root.get(part) if isinstance(root, dict) else None
    return root


def _kind(value: object) -> str:
    return next((name for name, types in KINDS.items() if type(value) in types), "string")


def convert(text: str, types: Sequence[str]) -> Any:
    """The value of a text without quotes where these JSON types are allowed ([] allows any).

    A text that fits no type stays as it is; the tool's own check is to refuse it.
    """
    try:
        value = literal(text)
    except NoCallError:
        return text
    if not types:
        return text if isinstance(value, str) else value
    if value is None and "null" in types:
        return None
    for kind in types:
        if kind == "string":
            return text
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
        if type(value) in KINDS.get(kind, ()):
            return value
    return text


def literal(text: str) -> Any:
    """Parse a text as JSON, or else as a Python literal. Raises NoCallError."""
    try:
        return from_json(text)
    except NoCallError:
        pass
    if len(text) > MAX_LITERAL:
        raise NoCallError("too long")
    try:
        value = ast.literal_eval(text.strip())
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise NoCallError("no literal") from error
    if not _is_json(value):
        raise NoCallError("no JSON value")
    return value


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, bool | int | float | str)


def from_json(text: str) -> Any:
    """Parse a text as JSON. Raises NoCallError, also for NaN and endless nesting."""
    value, end = scan_json(text, len(text) - len(text.lstrip()))
    if text[end:].strip():
        raise NoCallError("more than one value")
    return value


def scan_json(text: str, at: int) -> tuple[Any, int]:
    """Parse the JSON value at a place; returns it and the place behind it. Raises NoCallError."""
    try:
        return JSON.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise NoCallError("no JSON") from error


def scan_python_call(text: str, at: int, tools: Tools, *, raw: bool) -> tuple[str, Json, int]:
    """Parse `name(key=value, ...)` at a place; returns name, arguments and the place behind it.

    `raw`: the template does not escape strings (LFM2.5, OLMo 3). A string ends at the first quote
    behind which the rest can be read as further arguments. Otherwise Python's escapes are decoded
    where the string is valid Python. Raises NoCallError.
    """
    name = NAME.match(text, at)
    if name is None or text[name.end() : name.end() + 1] != "(":
        raise NoCallError("no call")
    arguments, end = _Arguments(text, raw).read(name.end() + 1)
    for key, value in arguments.items():
        types = tools.types(name[0], key)
        if isinstance(value, str) and types:
            arguments[key] = convert(value, types)
    return name[0], arguments, end


class _Arguments:
    """Reads the arguments of one call, with backtracking where a quote was not the closing one."""

    def __init__(self, text: str, raw: bool) -> None:
        self._text = text
        self._raw = raw
        self._failed: set[int] = set()  # places from which no arguments can be read

    def read(self, at: int) -> tuple[Json, int]:
        """Read the arguments from a place to their closing bracket. Raises NoCallError."""
        close = CLOSE.match(self._text, at)
        if close:
            return {}, close.end()
        arguments = self._read(at)
        if arguments is None:
            raise NoCallError("no arguments")
        return arguments

    def _read(self, at: int) -> tuple[Json, int] | None:
        key = KEY.match(self._text, at)
        if key is None or at in self._failed:
            return None
        for value, end in self._values(key.end()):
            follows = NEXT.match(self._text, end)
            if follows is None:
                continue
            if follows[1] == ")":
                return {key[1]: value}, follows.end()
            more = self._read(follows.end())
            if more is not None:
                return {key[1]: value, **more[0]}, more[1]
        self._failed.add(at)
        return None

    def _values(self, at: int) -> Iterator[tuple[Any, int]]:
        """Yield the possible values at a place, with their ends, the likeliest first."""
        first = self._text[at : at + 1]
        if first in {"'", '"'}:
            yield from self._strings(at, first)
        elif first in {"[", "{"}:
            yield from self._brackets(at, "]" if first == "[" else "}")
        elif word := WORD.match(self._text, at):
            yield convert(word[0], ()), word.end()

    def _strings(self, at: int, quote: str) -> Iterator[tuple[str, int]]:
        for end in _places(self._text, quote, at + 1):
            written = self._text[at : end + 1]
            value = written[1:-1]
            if not self._raw and "\\" in written:
                with suppress(NoCallError):
                    value = str(literal(written))
            yield value, end + 1

    def _brackets(self, at: int, close: str) -> Iterator[tuple[Any, int]]:
        with suppress(NoCallError):
            yield scan_json(self._text, at)
        for end in _places(self._text, close, at + 1):
            with suppress(NoCallError):
                yield literal(self._text[at : end + 1]), end + 1


def _places(text: str, mark: str, at: int) -> Iterator[int]:
    place = text.find(mark, at)
    while place >= 0:
        yield place
        place = text.find(mark, place + 1)


class GemmaValue:
    """Reads Gemma's `{key:value,...}`: keys without quotes, strings between marks of its own."""

    def __init__(self, text: str, quote: str) -> None:
        self._text = text
        self._quote = quote

    def read(self, at: int) -> tuple[Any, int]:
        """Read the value at a place; returns it and the place behind it. Raises NoCallError."""
        if self._text.startswith(self._quote, at):
            return self._string(at)
        if self._text.startswith("{", at):
            return self._mapping(at + 1)
        if self._text.startswith("[", at):
            return self._list(at + 1)
        word = BARE.match(self._text, at)
        if word is None:
            raise NoCallError("no value")
        return convert(word[0].strip(), ()), word.end()

    def _string(self, at: int) -> tuple[str, int]:
        start = at + len(self._quote)
        end = self._text.find(self._quote, start)
        if end < 0:
            raise NoCallError("a string without end")
        return self._text[start:end], end + len(self._quote)

    def _mapping(self, at: int) -> tuple[Json, int]:
        mapping: Json = {}
        while not self._text.startswith("}", at):
            if self._text.startswith(self._quote, at):
                key, at = self._string(at)
            else:
                colon = self._text.find(":", at)
                key, at = self._text[at:colon].strip(), colon
            if not key or not self._text.startswith(":", at):
                raise NoCallError("no key")
            mapping[key], at = self.read(at + 1)
            at = self._comma(at, "}")
        return mapping, at + 1

    def _list(self, at: int) -> tuple[list[Any], int]:
        items = []
        while not self._text.startswith("]", at):
            value, at = self.read(at)
            items.append(value)
            at = self._comma(at, "]")
        return items, at + 1

    def _comma(self, at: int, close: str) -> int:
        if self._text.startswith(",", at):
            return at + 1
        if not self._text.startswith(close, at):
            raise NoCallError("no end")
        return at


def first_key(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of these keys that the mapping has, else None."""
    return next((value[name] for name in names if name in value), None)
