"""A page's process, forked from one that has imported what the page imports.

These imports are most of what a page's start costs. The copy runs what `tuneboard webui` becomes
(app.__main__) with its own environment, folder, standard output and process id. What a test starts
anew after a kill, or with an environment or an import path of its own, is the real command
(conftest.Server).
"""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

from app.__main__ import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["app.web.server", __name__])
# Gradio reads it when it is imported; the page sets it before (app.__main__).
_BEFORE_IMPORT = {"GRADIO_ANALYTICS_ENABLED": "False"}


class ForkedPage:
    """As much of subprocess.Popen as tests ask of a page's process."""

    def __init__(self, args: list[str], folder: Path, env: dict[str, str]) -> None:
        self._process = _FORKS.Process(target=_serve, args=(args, folder, env), daemon=True)
        before = {name: os.environ.get(name) for name in _BEFORE_IMPORT}
        os.environ.update(_BEFORE_IMPORT)
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal's number; None while it runs."""
        self._process.join(0)
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """The exit code, waited for so many seconds; subprocess.TimeoutExpired after them."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("tuneboard webui", timeout)
        return code

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)


def _serve(args: list[str], folder: Path, env: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    with (folder / "web.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.exit(main(args))
