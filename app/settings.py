"""How the page is served: address, path behind a proxy, login, folders that it may open."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.contract.problems import Problem, UsageError

GIB = 1024**3
MAX_UPLOAD = 10 * GIB  # bytes
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`login` is "user:password" or ""; `allowed_hosts` are further Host names that may be used.

    max_upload: bytes of one upload; `allowed_paths` are folders that the page may open besides
    the working folder.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str = ""
    login: str = ""
    allowed_hosts: tuple[str, ...] = ()
    max_upload: int = MAX_UPLOAD
    allowed_paths: tuple[Path, ...] = ()

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the page."""
        return self.host not in LOOPBACK

    @property
    def url(self) -> str:
        """What a person on this machine types into a browser."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host
        return f"http://{host}:{self.port}"


def from_environment() -> dict[str, str]:
    """The settings that the environment gives, as text; the names are those of Gradio."""
    names = {
        "host": "GRADIO_SERVER_NAME",
        "port": "GRADIO_SERVER_PORT",
        "root_path": "GRADIO_ROOT_PATH",
        "login": "TUNEBOARD_LOGIN",
        "allowed_hosts": "TUNEBOARD_ALLOWED_HOSTS",
        "allowed_paths": "TUNEBOARD_ALLOWED_PATHS",
    }
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def folders(named: Iterable[str]) -> tuple[Path, ...]:
    """The folders of these names, relative ones from where the person stands. Raises UsageError."""
    found = [Path(name).expanduser().absolute() for name in named if name.strip()]
    missing = next((each for each in found if not each.is_dir()), None)
    if missing is not None:
        raise UsageError(Problem(code="bad_allowed_path", params={"path": str(missing)}))
    return tuple(found)


def upload_limit() -> int:
    """Bytes that one upload may have: TUNEBOARD_MAX_UPLOAD in GB, else 10 GB. Raises UsageError."""
    given = os.environ.get("TUNEBOARD_MAX_UPLOAD", "")
    try:
        size = float(given) if given else MAX_UPLOAD / GIB
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise UsageError(Problem(code="bad_max_upload", params={"value": given[:40]}))
    return int(size * GIB)
