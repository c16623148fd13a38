"""`tuneboard mcp`: the tools for agents, over standard input and output, by the package `mcp`."""

import json
import shutil
import sys
from argparse import Namespace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backend.contract.folders.home import home
from backend.contract.preflight import requirements
from backend.contract.system.child_process import command
from backend.contract.texts.locales import t
from backend.contract.texts.terminal_text import reader_language, say


def run(options: Namespace) -> int:
    """`tuneboard mcp`: serve until standard input ends; with --config only print the configuration
    of a client. Raises UsageError where the package mcp is not installed."""
    requirements.require_mcp()
    if options.config:
        say(json.dumps(make_configuration(options.config), ensure_ascii=False, indent=2))
        return 0
    if sys.stdin.isatty():
        say(t("mcp.waits", reader_language(sys.stderr)), sys.stderr)
    from backend.mcp.server import serve

    say(t("mcp.ready", folder=str(home())), sys.stderr)
    serve(version("tuneboard"))
    return 0


def make_configuration(client: str) -> dict[str, Any]:
    """What to write into the configuration of a client: of Claude Desktop and Claude Code, or of
    VS Code. It names this installation and this working folder by their whole paths."""
    program, *words = _program()
    server = {"command": program, "args": [*words, "mcp"], "env": {"TUNEBOARD_HOME": str(home())}}
    if client == "vscode":
        return {"servers": {"tuneboard": {"type": "stdio", **server}}}
    return {"mcpServers": {"tuneboard": server}}


def _program() -> list[str]:
    """The words that start `tuneboard` from any folder."""
    place = shutil.which("tuneboard", path=str(Path(sys.executable).parent))
    return [place] if place else command()
