"""Where a person sees how a run goes: a live table in a notebook, plain lines elsewhere."""

import html
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from backend.contract.base.metrics import Row
from backend.contract.base.printed import say
from backend.contract.base.texts import DEFAULT_LANGUAGE, t
from backend.contract.runs import run_words
from backend.contract.runs.run_folder import RunView

LANGUAGE = DEFAULT_LANGUAGE
FIGURES = ("loss", "eval_loss", "learning_rate")
SHOWN = 12  # newest rows in a notebook's table


class Display(Protocol):
    """Shows a run as it goes."""

    def show(self, view: RunView, rows: Sequence[Row]) -> None:
        """Show the run: all its metric rows so far."""


def display_of_this_place() -> Display:
    """The notebook's display in a notebook, else lines on standard error."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return Notebook() if hasattr(shell, "kernel") else Lines()


class Lines:
    """A line for each new state, logged step and notice."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._state = ""
        self._shown = 0

    def show(self, view: RunView, rows: Sequence[Row]) -> None:
        """Print what is new, the folder first."""
        if not self._state:
            say(t("cli.run_folder", folder=str(view.path)), sys.stderr)
        for notice in (*view.notices, *view.silence):
            if notice.text() not in self._said:
                self._said.add(notice.text())
                say(f"{t('cli.notice')}: {notice.text()}", sys.stderr)
        for row in rows[min(self._shown, len(rows)) :]:
            say(_line(view, row), sys.stderr)
        self._shown = len(rows)
        state = run_words.state(view, LANGUAGE)
        if state != self._state:
            self._state = state
            say(state, sys.stderr)


class Notebook:
    """One output of a cell that is drawn anew: state, progress bar, newest figures, notices."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = ""

    def show(self, view: RunView, rows: Sequence[Row]) -> None:
        """Draw the run where it has changed."""
        from IPython.display import HTML, display

        drawn = page(view, rows)
        if self._handle is None:
            self._handle = display(HTML(drawn), display_id=True)
        elif drawn != self._drawn:
            self._handle.update(HTML(drawn))
        self._drawn = drawn


def page(view: RunView, rows: Sequence[Row]) -> str:
    """A run as HTML; every text in it is escaped."""
    share, words = run_words.progress(view, rows, LANGUAGE)
    parts = [f"<b>{_escaped(run_words.state(view, LANGUAGE))}</b> {_escaped(words)}"]
    if share is not None:
        parts.append(f'<progress value="{share:.4f}" max="1" style="width:24em"></progress>')
    figures = [name for name in FIGURES if any(getattr(row, name) is not None for row in rows)]
    if figures:
        heads = [t("chart.step", LANGUAGE), *(_title(name) for name in figures)]
        lines = [_cells("th", heads)]
        lines += [
            _cells("td", [str(row.step), *(_figure(row, name) for name in figures)])
            for row in rows[-SHOWN:]
        ]
        parts.append(f"<table>{''.join(lines)}</table>")
    parts += [_escaped(notice.text()) for notice in (*view.notices, *view.silence)]
    parts.append(_escaped(t("cli.run_folder", LANGUAGE, folder=str(view.path))))
    return "".join(f"<div>{part}</div>" for part in parts)


def _line(view: RunView, row: Row) -> str:
    """How far the run was at a logged step, and its figures."""
    then = replace(view, step=row.step, rows=(0, 0))
    figures = [f"{_title(name)} {_figure(row, name)}" for name in FIGURES if _figure(row, name)]
    step = [] if view.total_steps else [f"{_title('step')} {row.step}"]
    words = run_words.progress(then, [row], LANGUAGE).words
    return " · ".join(filter(None, [*step, words, *figures]))


def _title(name: str) -> str:
    return t("tuner.eval_loss" if name == "eval_loss" else f"chart.{name}", LANGUAGE)


def _figure(row: Row, name: str) -> str:
    value = getattr(row, name)
    return "" if value is None else f"{value:.4g}"


def _cells(kind: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{_escaped(text)}</{kind}>' for text in texts)}</tr>"


def _escaped(text: str) -> str:
    return html.escape(text)
