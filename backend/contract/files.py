"""Small files with care: YAML and JSON mappings read with line numbers, atomic writes."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from backend.contract.problems import Problem

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    """Plain YAML only: no aliases (they can explode), no duplicate keys, no deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="alias", problem_mark=self.peek_event().start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nesting", problem_mark=self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: str | Path) -> tuple[dict[str, object], list[Problem]]:
    """The mapping in a YAML or JSON file, or {} and the problem with its file and line."""
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return {}, [_file_problem("file_unreadable", name, reason=error.strerror or str(error))]
    if len(content) > MAX_BYTES:
        return {}, [_file_problem("file_too_large", name, limit=MAX_BYTES)]
    return parse_mapping(content, name)


def parse_mapping(content: bytes, name: str) -> tuple[dict[str, object], list[Problem]]:
    """As read_mapping, of bytes in hand; `name` is what messages call it."""
    try:
        result = yaml.load(content.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except UnicodeDecodeError as error:
        return {}, [_file_problem("file_not_utf8", name, offset=error.start)]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return {}, [
            _file_problem("bad_yaml", name, line=line, reason=str(error.problem or error.context))
        ]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return {}, [_file_problem("bad_yaml", name, line=1, reason=str(error).split("\n")[0])]
    if result is None:
        return {}, []
    if not isinstance(result, dict) or not all(isinstance(key, str) for key in result):
        return {}, [_file_problem("not_mapping", name)]
    return result, []


def write_mapping(values: Mapping[str, object]) -> str:
    """A flat mapping as YAML text, in its own order."""
    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=10**6)
    return text if values else "{}\n"


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write so that the file is either the old one or the whole new one, even after a power cut."""
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


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object, or {} where the file is missing, torn or something else."""
    try:
        row = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _file_problem(code: str, file: str, **params: str | int | float) -> Problem:
    return Problem(code=code, params={"file": file, **params})
