"""The component of a run's panel: what it draws, when it changes its run, what a press may do."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.form.form import Form
from app.i18n import Texts
from app.services.runs import fixes, runs
from app.tabs.run import run_panel
from app.tabs.shared import clock
from app.tabs.shared.context import Context
from app.tabs.shared.keeping import Keeper
from backend.contract.folders.home import relative
from backend.contract.launching import launch
from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import RunView
from backend.contract.texts.locales import languages
from backend.contract.texts.problems import Problem, RunFolderError


def context(page: gr.Blocks) -> Context:
    """What a panel needs of the page around it."""
    lang, texts = gr.Dropdown(choices=["en", "zh"], value="en"), Texts()
    bar = Form("train", "bar", [])
    return Context(texts, page, lang, bar, {}, None, clock.draw(), Keeper())


def test_a_panel_is_one_component() -> None:
    """Each with element ids of its own; without a form of arguments it brings nothing else."""
    with gr.Blocks() as page:
        shared = context(page)
        before = len(page.blocks)
        for prefix in ("eval", "export"):
            run_panel.build(shared, prefix=prefix)
    panels = [block for block in [*page.blocks.values()][before:] if block.elem_id]
    assert [block.elem_id for block in panels] == ["eval-run", "export-run"]
    assert len(page.blocks) - before <= 3, "Gradio may put something around"


def test_an_empty_panel_asks_for_the_newest_run_of_its_task(folder: Path) -> None:
    """In tests/e2e/test_run_panel.py: one that shows a run leaves it alone."""
    with gr.Blocks() as page:
        panel = run_panel.build(context(page), prefix="train")
    assert [event for event in page.fns.values() if event.outputs == [panel]] == []
    (latest,) = [each for each in panel.server_fns if each.__name__ == "latest"]
    runs.forget()
    assert latest({}) == {"ok": True, "run": ""}, "its run is no training"
    (folder / run_folder.RUN).write_text(json.dumps({"kind": "train"}))
    runs.forget()
    assert latest({}) == {"ok": True, "run": str(folder)}


def test_a_refused_press_is_told_in_every_language(folder: Path) -> None:
    """The page may change its language while the answer stands there."""
    answer = run_panel.resume({"run": str(folder)})
    assert not answer["ok"]
    assert answer["errors"].keys() == set(languages())
    assert len(set(answer["errors"].values())) == len(languages())


def test_a_new_start_beside_a_run_is_offered_the_queue(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As beside Start: it was refused without a word on how it can go on, and the run in the way is
    stopped only where the page lists it."""
    waits: list[bool] = []
    stopped: list[Path] = []
    going = folder.with_name("going")
    shutil.copytree(folder, going)
    in_way = Problem(code="run_in_way", params={"run": relative(going)})

    def restart(view: RunView, secrets: Any, *, queued: bool) -> Path:
        waits.append(queued)
        if not queued:
            raise RunFolderError(in_way)
        return view.path

    monkeypatch.setattr(fixes, "restart", restart)
    monkeypatch.setattr(launch, "stop", stopped.append)
    runs.forget()
    refused = run_panel.restart({"run": str(folder), "how": ""})
    assert (refused["ok"], refused["in_way"]) == (False, [relative(going)])
    assert all(relative(going) in text for text in refused["errors"].values())
    press = {"run": str(folder), "in_way": [*refused["in_way"], str(tmp_path), "/etc"]}
    assert run_panel.restart({**press, "how": "queue"}) == {"ok": True, "run": str(folder)}
    assert stopped == []
    assert run_panel.restart({**press, "how": "instead"})["ok"]
    assert stopped == [going]
    assert waits == [False, True, True]


def test_an_error_has_one_number_in_every_language(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under which the server's output has it."""
    monkeypatch.setattr(launch, "stop", lambda _: 1 / 0)
    errors = run_panel.stop({"run": str(folder)})["errors"]
    numbers = {re.findall(r"\b[0-9a-f]{8}\b", text)[0] for text in errors.values()}
    assert len(errors) == len(languages())
    assert len(numbers) == 1


def test_only_runs_that_the_page_lists_are_acted_on(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder comes from the browser, which may send any."""
    stopped: list[Path] = []
    monkeypatch.setattr(launch, "stop", stopped.append)
    (tmp_path / "run.json").write_text("{}")
    for name in ("", "/etc", str(tmp_path), f"{folder}/../../../..", "a\0b", f"{folder}x", None):
        assert not run_panel.stop({"run": name})["ok"]
        assert runs.find_folder(str(name)) is None
    assert not run_panel.stop("nonsense")["ok"]
    assert stopped == []
    assert run_panel.stop({"run": str(folder)}) == {"ok": True, "run": str(folder)}
    assert stopped == [folder]


def test_a_new_start_takes_only_secrets_of_the_form(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def restart(view: RunView, secrets: Any, *, queued: bool) -> Path:
        assert not queued
        given.append(secrets)
        return view.path.with_name("second")

    monkeypatch.setattr(fixes, "restart", restart)
    values = {"hf_hub_token": "hf_x", "learning_rate": "1", "unheard_of": "x", "ms_hub_token": ""}
    answer = run_panel.restart({"run": str(folder), "values": values})
    assert answer == {"ok": True, "run": str(folder.with_name("second"))}
    assert given == [{"hf_hub_token": "hf_x"}]
