"""The port for `make start`, looked for before anything is installed: python port.py [PORT].

Standard library only. The port goes to standard output, what there is to say to standard error;
exit code 2 where the port that was asked for cannot be had.
"""

from __future__ import annotations

import os
import socket
import sys

USUAL = 7860
TRIED = 20  # ports from the first one on


def main(wanted: str) -> int:
    """Choose the port: a person's own choice is taken or refused, never replaced by another."""
    wanted = wanted or os.environ.get("GRADIO_SERVER_PORT", "")
    if wanted and not (wanted.isdigit() and 0 < int(wanted) <= 65_535):
        return refuse(f"{wanted[:20]} is no port: a port is a number from 1 to 65535.", USUAL)
    first = int(wanted or USUAL)
    free = next((port for port in range(first, min(first + TRIED, 65_536)) if is_free(port)), None)
    if free != first and (wanted or free is None):
        return refuse(f"Port {first} is taken by another program.", free)
    if free != first:
        say(f"Port {first} is taken by another program; the page is served on {free} instead.")
    sys.stdout.write(f"{free}\n")
    return 0


def refuse(reason: str, free: int | None) -> int:
    """Say what is wrong and what to type."""
    say(f"{reason} Type: make start PORT={free or 'NUMBER'}")
    return 2


def say(words: str) -> None:
    """A line for the person."""
    sys.stderr.write(f"{words}\n")


def is_free(port: int) -> bool:
    """Whether the page could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
