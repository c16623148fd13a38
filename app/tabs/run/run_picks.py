"""What is done with the runs that are ticked in the list: compare, rename and delete them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.form.component import Question, answer
from app.i18n import in_all, t
from app.services.runs import comparing, runs
from backend.contract.launching import launch, run_changes
from backend.contract.texts.numbers import localize
from backend.contract.texts.problems import Problem, RunFolderError
from backend.contract.texts.terminal_text import decimal_size

FEWEST = 2  # to compare
WORDS = (
    *("cancel", "clear", "close", "compare", "delete"),
    *("name", "pick", "picked", "rename", "save"),
)
CHART_WORDS = ("eval_loss", "loss", "step")


def pick(asked: Any) -> Question:
    """Do what the browser asks for with {"do", "keys", "name"}."""
    return answer(_pick, asked)


def _pick(question: Question, lang: str) -> Question:
    keys = question.get("keys")
    names = [str(key) for key in keys] if isinstance(keys, list) else []
    folders = [folder for name in names if (folder := runs.find_folder(name)) is not None]
    if not folders:
        raise RunFolderError(Problem(code="runs_gone"))
    return DOES[str(question.get("do"))](folders, question, lang)


def words(lang: str) -> dict[str, str]:
    """What the browser says of the ticked runs."""
    return {
        **{name: t(f"picks.{name}", lang) for name in WORDS},
        **{f"chart.{name}": t(f"chart.{name}", lang) for name in CHART_WORDS},
    }


def _compare(folders: list[Path], _: Question, lang: str) -> Question:
    if len(folders) < FEWEST:
        raise RunFolderError(Problem(code="compare_too_few"))
    return comparing.compare([runs.view(folder) for folder in folders], lang)


def _ask(folders: list[Path], _: Question, lang: str) -> Question:
    """The one question before a deletion, with the disk that it frees."""
    size = localize(decimal_size(sum(map(run_changes.measure, folders))), lang)
    if len(folders) == 1:
        question = t("picks.delete_one", lang, name=folders[0].name, size=size)
    else:
        question = t("picks.delete_several", lang, count=len(folders), size=size)
    return {"question": question}


def _delete(folders: list[Path], _: Question, __: str) -> Question:
    """Delete the runs one after another, the groups of recipes before their stages; the first that
    must be left alone ends it."""
    size = 0
    try:
        for folder in sorted(folders, key=lambda folder: runs.view(folder).task != launch.RECIPE):
            size += run_changes.delete(folder)
    finally:
        runs.forget()
    freed = str(decimal_size(size))
    return {"words": in_all(lambda lang: t("picks.deleted", lang, size=localize(freed, lang)))}


def _rename(folders: list[Path], question: Question, _: str) -> Question:
    try:
        target = run_changes.rename(folders[0], str(question.get("name", "")).strip())
    finally:
        runs.forget()
    return {"key": str(target)}


DOES: dict[str, Callable[[list[Path], Question, str], Question]] = {
    "compare": _compare,
    "ask": _ask,
    "delete": _delete,
    "rename": _rename,
}
