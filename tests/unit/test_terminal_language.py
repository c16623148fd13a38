"""The command speaks the language of the terminal: its help, and why something did not work."""

import io
import os
import sys

import pytest

from backend.__main__ import main
from backend.contract.texts.locales import languages, t
from backend.contract.texts.terminal_text import (
    MARKS,
    RELATIVES,
    VARIABLES,
    name_language,
    reader_language,
)


class Terminal(io.StringIO):
    """A stream that a person reads."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "de_AT.UTF-8")


@pytest.mark.parametrize(
    ("environment", "lang"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "pt_PT.UTF-8"}, "pt-BR"),
        ({"LANG": "zh_HK.UTF-8"}, "zh-Hant"),
        ({"LANG": "zh_SG.UTF-8"}, "zh"),
        ({"LANG": "sw_KE.UTF-8"}, "en"),
        ({"LANG": "de_DE", "LC_ALL": "fr_FR"}, "fr"),
        ({"LANG": "de_DE", "LC_ALL": "fr_FR", "TUNEBOARD_LANG": "zh-Hant"}, "zh-Hant"),
    ],
)
def test_the_variables_name_the_language(environment: dict[str, str], lang: str) -> None:
    assert name_language(environment) == lang
    assert set(RELATIVES.values()) <= set(languages())


@pytest.mark.usefixtures("german")
def test_help_is_in_the_language_of_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--help"]) == 0
    assert t("command.runs.about", "de") in capsys.readouterr().out


@pytest.mark.usefixtures("german")
def test_a_person_reads_the_problem_and_a_log_stays_english(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of a run is read by whoever opens it later, and by programs."""
    assert main(["trian"]) == 2
    assert "is not a command" in capsys.readouterr().err
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["trian"]) == 2
    assert terminal.getvalue().startswith(f"{t('cli.error', 'de')}: ")
    assert "is not a command" not in terminal.getvalue()


def test_letters_that_a_terminal_cannot_show_are_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNEBOARD_LANG", "ja")
    terminal = Terminal()
    assert reader_language(terminal) == "ja"
    terminal.encoding = "ascii"
    assert reader_language(terminal) == "en"


def test_marks_for_a_browser_are_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would stand there as \\u200e."""
    monkeypatch.setitem(os.environ, "TUNEBOARD_LANG", "ar")
    assert MARKS.search(t("field.deepspeed.help", "ar"))
    assert main(["train", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--deepspeed" in shown
    assert "\\u200e" not in shown
