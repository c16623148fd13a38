"""Read, write and lock small files: YAML and JSON mappings with line numbers, atomic writes."""

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from backend.contract.folders.home import describe_places, find
from backend.contract.system import boundary
from backend.contract.texts.problems import DataError, Problem

MAX_BYTES = 256 * 1024  # about two seconds of parsing at worst
MAX_DEPTH = 50


class Located(dict[str, object]):
    """A mapping from a file, with the line of each key. The lines are known for YAML only."""

    def __init__(self, file: str = "", lines: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.file = file
        self.lines = dict(lines or {})

    def at(self, key: str) -> dict[str, str]:
        """The parameter `at` (file and line) for a problem with this key; {} where unknown."""
        return {"at": f"{self.file}:{self.lines[key]}"} if key in self.lines else {}


class _Refused(yaml.YAMLError):
    """Valid YAML that is refused here; `code` is that of the problem, `line` counts from 1."""

    def __init__(self, code: str, line: int, **params: str) -> None:
        self.code = code
        self.line = line
        self.params = params
        super().__init__(code)


class _Loader(yaml.SafeLoader):
    """Plain YAML only: no aliases (they can explode), no tags, no duplicates, no deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise _Refused("yaml_alias", line)
        if event.tag is not None:
            raise _Refused("yaml_tag", line, tag=event.tag[:80])
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Refused("yaml_nesting", line)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _Refused("yaml_duplicate", key.start_mark.line + 1, key=key.value[:80])
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: str | Path) -> tuple[Located, list[Problem]]:
    """The mapping in a YAML or JSON file, or {} and the problem with its file and line.

    A relative path is looked for as `home.find` does.
    """
    name = str(path)
    try:
        with open(find(path), "rb", opener=boundary.open_file) as file:
            content = file.read(MAX_BYTES + 1)
    except DataError as error:
        return Located(), list(error.problems)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        return Located(), [_file_problem("file_unreadable", describe_places(path), reason=reason)]
    if len(content) > MAX_BYTES:
        return Located(), [_file_problem("file_too_large", name, limit=MAX_BYTES)]
    return parse_mapping(content, name)


def parse_mapping(content: bytes, name: str) -> tuple[Located, list[Problem]]:
    """As `read_mapping`, for given bytes. Messages call them `name`; .json is read as JSON."""
    try:
        text = content.decode("utf-8-sig")
        result, lines = (_json if name.endswith(".json") else _yaml)(text)
    except UnicodeDecodeError as error:
        return Located(), [_file_problem("file_not_utf8", name, offset=error.start)]
    except _Refused as error:
        return Located(), [_file_problem(error.code, name, line=error.line, **error.params)]
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        line, reason = _place(error)
        return Located(), [_file_problem("bad_yaml", name, line=line, reason=reason)]
    if result is None:
        return Located(name), []
    if not isinstance(result, dict) or not all(isinstance(key, str) for key in result):
        return Located(), [_file_problem("not_mapping", name)]
    mapping = Located(name, lines)
    mapping.update(result)
    return mapping, []


def _yaml(text: str) -> tuple[object, dict[str, int]]:
    """The content, and the line (from 1) of each top-level key."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return content, {str(key.value): key.start_mark.line + 1 for key, _ in pairs}


def _json(text: str) -> tuple[object, dict[str, int]]:
    return json.loads(text, object_pairs_hook=_unique), {}


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key {twice[:80]!r}")
    return content


def _place(error: Exception) -> tuple[int, str]:
    """The line (1 where unknown) and the reason of a parser's error."""
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, error.msg
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return (mark.line + 1 if mark else 1), str(error.problem or error.context)
    return 1, str(error).split("\n")[0]


def write_mapping(values: Mapping[str, object]) -> str:
    """A flat mapping as YAML text; the order of its keys stays."""
    text: str = yaml.dump(
        dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6
    )
    return text if values else "{}\n"


class _Dumper(yaml.SafeDumper):
    """Quotes and escapes texts with line ends other than LF, which YAML would read as spaces."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = '"' if set(text) & {"\r", "\x85", "\u2028", "\u2029"} else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write so that the file is the old one or the whole new one, even after a power cut."""
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_readable(files: Iterable[Path]) -> None:
    """Give files the default mode: safetensors makes them readable for their owner alone."""
    mask = os.umask(0o077)
    os.umask(mask)
    for path in files:
        path.chmod(0o666 & ~mask)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path, opener: Callable[[str, int], int] | None = None) -> dict[str, object]:
    """The JSON object in a file, or {} where the file is missing, torn or holds something else."""
    try:
        with open(path, "rb", opener=opener) as file:
            row = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def dump(content: object) -> bytes:
    """JSON for a file. A lone surrogate (from an undecodable file name) is escaped."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _file_problem(code: str, file: str, **params: str | int | float) -> Problem:
    return Problem(code=code, params={"file": file, **params})


def take_lock(path: Path, seconds: float | None = 0.0) -> int | None:
    """Lock a file until the descriptor is closed or this process ends; children do not inherit it.

    Waits `seconds` (None: without limit) for the lock, then returns None.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    limit = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                os.close(handle)
                return None
            time.sleep(0.02)
        else:
            return handle
