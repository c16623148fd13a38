"""The settings of the page's server: address, path behind a proxy, login, allowed folders."""

import ipaddress
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.contract.launching.launch import OFF, STOP_RUNS
from backend.contract.system.addresses import EVERY, is_loopback
from backend.contract.texts.problems import Problem, UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

GIB = 1024**3
LOGIN, LOGIN_FILE = "TUNEBOARD_LOGIN", "TUNEBOARD_LOGIN_FILE"
LONGEST_LOGIN = 4096  # bytes of such a file
MAX_UPLOAD = 10 * GIB  # bytes
ON = {"1", "true", "yes", "on"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the page's server.

    login            "user:password", or "" for none
    allowed_hosts    further host names by which the page may be requested
    max_upload       bytes of one upload
    allowed_paths    folders that the page may open besides the working folder
    trusted_proxies  proxies whose X-Forwarded-For is believed
    stop_runs        whether runs end with the page instead of going on
    """

    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str = ""
    login: str = ""
    allowed_hosts: tuple[str, ...] = ()
    max_upload: int = MAX_UPLOAD
    allowed_paths: tuple[Path, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    stop_runs: bool = False

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the page."""
        return not is_loopback(self.host)

    @property
    def url(self) -> str:
        """The address that a person on this machine types into a browser."""
        host = "127.0.0.1" if self.host in EVERY else self.host
        return f"http://{host}:{self.port}"


def from_environment() -> dict[str, str]:
    """The settings of the environment as text. Some of its variables are named as Gradio's."""
    names = {
        "host": "GRADIO_SERVER_NAME",
        "port": "GRADIO_SERVER_PORT",
        "root_path": "GRADIO_ROOT_PATH",
        "allowed_hosts": "TUNEBOARD_ALLOWED_HOSTS",
        "allowed_paths": "TUNEBOARD_ALLOWED_PATHS",
        "trusted_proxies": "TUNEBOARD_TRUSTED_PROXIES",
        "stop_runs": STOP_RUNS,
    }
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def login() -> str:
    """The login user:password from TUNEBOARD_LOGIN, or from the file TUNEBOARD_LOGIN_FILE.

    Raises UsageError where both are set, the file cannot be read, or the text is no login.
    """
    text, file = os.environ.get(LOGIN, ""), os.environ.get(LOGIN_FILE, "")
    if text and file:
        raise UsageError(Problem(code="two_logins"))
    if file:
        return _login_in(Path(file).expanduser())
    if text and not _is_login(text):
        raise UsageError(Problem(code="bad_login"))
    return text


def _login_in(file: Path) -> str:
    """The login in a file. The mode of the file is not checked, because the secrets of a container
    can be read by everyone in it."""
    try:
        with file.open("rb") as handle:
            content = handle.read(LONGEST_LOGIN + 1)
        text = content.decode("utf-8-sig").strip("\r\n")
    except OSError as error:
        params = {"path": str(file), "reason": error.strerror or str(error)}
        raise UsageError(Problem(code="login_file_unreadable", params=params)) from None
    except UnicodeDecodeError:
        text = ""
    if len(text.encode()) > LONGEST_LOGIN or not _is_login(text):
        raise UsageError(Problem(code="bad_login_file", params={"path": str(file)}))
    return text


def _is_login(text: str) -> bool:
    user, _, password = text.partition(":")
    return bool(user and password) and text.isprintable()


def proxies(names: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks (10.0.0.0/8) whose X-Forwarded-For is believed. Raises UsageError."""
    stripped = [name.strip() for name in names if name.strip()]
    networks = []
    for name in stripped:
        try:
            networks.append(ipaddress.ip_network(name, strict=False))
        except ValueError:
            problem = Problem(code="bad_trusted_proxy", params={"value": name[:60]})
            raise UsageError(problem) from None
    return tuple(networks)


def switch(text: str) -> bool:
    """Whether an environment variable is on (1, true, yes, on). UsageError for other words."""
    word = text.strip().lower()
    if word not in {*ON, *OFF}:
        raise UsageError(Problem(code="bad_stop_runs", params={"value": text[:40]}))
    return word in ON


def folders(names: Iterable[str]) -> tuple[Path, ...]:
    """The folders of these names, relative to the current folder. Raises UsageError."""
    paths = [Path(name).expanduser().absolute() for name in names if name.strip()]
    missing = next((each for each in paths if not each.is_dir()), None)
    if missing is not None:
        raise UsageError(Problem(code="bad_allowed_path", params={"path": str(missing)}))
    return tuple(paths)


def upload_limit() -> int:
    """The limit of an upload in bytes: TUNEBOARD_MAX_UPLOAD (in GB), else 10 GB. UsageError."""
    text = os.environ.get("TUNEBOARD_MAX_UPLOAD", "")
    try:
        size = float(text) if text else MAX_UPLOAD / GIB
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise UsageError(Problem(code="bad_max_upload", params={"value": text[:40]}))
    return int(size * GIB)
