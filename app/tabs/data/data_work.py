"""Work on a data set by a child process: Start, how far it is, Stop, what came of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

import gradio as gr

from app.form.component import make_call, make_component
from app.i18n import TextKeys, in_all, t
from app.tabs.shared.wiring import QUIET
from backend.contract.system.child_process import Stopped
from backend.contract.texts.problems import TuneboardError

IDLE = {"state": "idle"}

Update = Any
Words = dict[str, str]  # by language


@dataclass(frozen=True)
class Task:
    """What is done after Start.

    steps     how far it is, again and again, and at last the result
    progress  the share that is done (0 to 1; None where it is not known) and words for it, of
              a step; None for the result
    report    what a result shows in a language: lines, items, table
    made      the name of the set that a result has made, where it makes one
    stopped   what is said once it was stopped
    """

    steps: Iterator[Any]
    stop: Event
    progress: Callable[[Any], tuple[float | None, Words] | None]
    report: Callable[[Any, str], dict[str, Any]]
    made: Callable[[Any], str] | None = None
    stopped: Words = field(default_factory=dict)


class Work:
    """One component: its ids begin with `key`, `start` is the key of the words on its button."""

    def __init__(self, key: str, start: str) -> None:
        self.key = key
        self.words = {"start": start, "stop": "clean.stop"}
        self.box: Any = None

    def draw(self) -> None:
        """Draw it here."""
        self.box = make_component(
            "work",
            '<div class="list"></div>',
            IDLE,
            events=["start", "stop"],
            elem_id=f"{self.key}-work",
            prefix=f"{self.key}-",
            words=TextKeys(self.words),
        )

    def wire(self, begin: Callable[..., Task | Words], inputs: list[Any], dataset: Any) -> Any:
        """`begin` makes the task from the values of `inputs`, or says why there is none; a set
        that was made is chosen in `dataset`. Leaving the page ends the work, too. Returns the event
        of Start."""
        going = gr.State(None)  # what stops the work

        def work(*box_values: Any) -> Iterator[list[Update]]:
            task = begin(*box_values)
            if not isinstance(task, Task):
                yield [_end(_list_lines(task)), gr.skip(), None]
                return
            yield [_busy(None, {}), gr.skip(), task.stop]
            yield from _follow(task)

        started = self.box.start(work, inputs, [self.box, dataset, going], **QUIET)
        started.failure(None, None, self.box, js=make_call("work", "free"), **QUIET)
        # The end of the child ends the bar, too: two events that write it would race each other.
        self.box.stop(lambda stop: stop and stop.set(), going, None, **QUIET)
        return started


def _follow(task: Task) -> Iterator[list[Update]]:
    try:
        for step in task.steps:
            progress = task.progress(step)
            if progress is not None:
                yield [_busy(*progress), gr.skip(), gr.skip()]
                continue
            made = gr.update(value=task.made(step)) if task.made else gr.skip()
            yield [_end(in_all(partial(task.report, step))), made, None]
    except Stopped:
        yield [_end(_list_lines(task.stopped)), gr.skip(), None]
    except TuneboardError as error:
        problems = error.problems
        lines = in_all(lambda lang: {"lines": [problem.text(lang) for problem in problems]})
        yield [_end(lines), gr.skip(), None]


def _busy(share: float | None, words: Words) -> Update:
    return gr.update(value={"state": "busy", "share": share, "words": words})


def _end(report: dict[str, Any]) -> Update:
    """What came of it, by language: the page may change its own while it stands there."""
    return gr.update(value={"state": "ended", "report": report})


def _list_lines(words: Words) -> dict[str, Any]:
    return {lang: {"lines": [text]} for lang, text in words.items()}


def say(key: str, **params: Any) -> Words:
    """A text in every language."""
    return in_all(lambda lang: t(key, lang, **params))
