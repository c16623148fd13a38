"""Check which parts of Tuneboard are installed: the page and the worker can be installed alone."""

import importlib.util

from backend.contract.texts.problems import Problem, UsageError

PAGE = ("gradio",)
WORKER = ("torch", "transformers", "peft", "datasets", "accelerate", "safetensors")


def is_installed(module: str) -> bool:
    """Whether a package can be imported. It is looked for, not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def check_worker() -> list[Problem]:
    """The problem of a worker that is not installed (the extra `worker`)."""
    return _check("worker_missing", WORKER)


def require_worker() -> None:
    """Raise UsageError where the worker is not installed."""
    if problems := check_worker():
        raise UsageError(*problems)


def require_page() -> None:
    """Raise UsageError where the page (the extra `page`) is not installed."""
    if problems := _check("page_missing", PAGE):
        raise UsageError(*problems)


def _check(code: str, modules: tuple[str, ...]) -> list[Problem]:
    missing = [module for module in modules if not is_installed(module)]
    return [Problem(code=code, params={"packages": ", ".join(missing)})] if missing else []
