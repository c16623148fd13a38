"""Answer the events of a page at once and in order, and show unexpected errors.

An exception that no handler expects becomes a message with a number, under which the server's
output has the traceback.
"""

import asyncio
import html
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr

from app.i18n import DEFAULT_LANGUAGE, languages
from app.problems import describe

LANGUAGE_BOX = "lang"  # element id of the box with a visitor's language
MARK = "__type__"  # the key by which Gradio recognises an update
MOST_IN_PROGRESS = 4  # an event with more outputs shows no progress


def prepare(blocks: gr.Blocks) -> None:
    """Set how the events of a built page are sent and answered."""
    _answer_at_once(blocks)
    _answer_in_order(blocks)
    _defer_alone(blocks)


def _answer_at_once(blocks: gr.Blocks) -> None:
    """Send only streaming events through Gradio's queue.

    The queue answers over a stream that the page opens and closes. An event that is sent just as
    the stream closes gets no answer, and our timers close it every second. And the page
    walks through all components for each output that ever showed progress, at every event: what
    fills a whole form shows none.
    """
    for event in blocks.fns.values():
        event.queue = event.types_generator or event.is_cancel_function
        if event.show_progress == "hidden" or len(event.outputs) > MOST_IN_PROGRESS:
            event.show_progress_on = []


@dataclass
class _Visitor:
    """The state of an open page: a lock for each handler, and the language."""

    turns: defaultdict[Any, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    lang: str = DEFAULT_LANGUAGE


def _answer_in_order(blocks: gr.Blocks) -> None:
    """Of two events with one handler that a visitor's page sends, the later is answered last.

    Each sends all that the form holds and gets what is to be shown: the earlier answer, coming
    late, would stay. So it is with handlers that share a turn (`app.tabs.shared.context.in_turn`).
    """
    process = blocks.process_api
    visitors: WeakKeyDictionary[Any, _Visitor] = WeakKeyDictionary()

    async def answer(block_fn: Any, inputs: Any, state: Any = None, **options: Any) -> Any:
        visitor = _Visitor() if state is None else visitors.setdefault(state, _Visitor())
        visitor.lang = _language(block_fn, inputs) or visitor.lang
        try:
            if state is None or block_fn.queue:
                return _complete(block_fn, state, await process(block_fn, inputs, state, **options))
            async with visitor.turns[getattr(block_fn.fn, "turn", block_fn.fn)]:
                return _complete(block_fn, state, await process(block_fn, inputs, state, **options))
        except gr.Error:
            raise
        except Exception as error:
            raise in_words(error, visitor.lang) from error

    blocks.process_api = answer


def _complete(block_fn: Any, state: Any, answer: Any) -> Any:
    """An answer whose updates of an HTML component have all of its properties, or none.

    Gradio (6.31) sends those that have changed, and takes the mark of an update for one of them.
    A component of a tab that was not opened yet would lose all others.
    """
    for block, update in zip(block_fn.outputs, answer["data"], strict=False):
        if not isinstance(block, gr.HTML) or not isinstance(update, dict) or "props" not in update:
            continue
        changed = {name: each for name, each in update.pop("props").items() if name != MARK}
        if changed:
            known = block if state is None else state[block._id]
            update["props"] = {**known.props, **changed}
    return answer


def _language(block_fn: Any, inputs: Any) -> str:
    """The language in the inputs of an event, or ""."""
    boxes = [getattr(box, "elem_id", "") for box in block_fn.inputs]
    if not isinstance(inputs, list) or LANGUAGE_BOX not in boxes:
        return ""
    value = inputs[boxes.index(LANGUAGE_BOX)]
    return str(value) if value in languages() else ""


def in_words(error: Exception, lang: str) -> gr.Error:
    """An unexpected error as a message of the page, which stays until it is closed."""
    title, words = describe(error, lang)
    return gr.Error(html.escape(words), duration=None, title=title, print_exception=False)


def _defer_alone(blocks: gr.Blocks) -> None:
    """An event with several listeners is never deferred until the one before is answered.

    Gradio (6.31) hands a deferred event not to the listener that was busy, but to all of them:
    each finds another one busy and defers the event again, without end.
    """
    asking = [event for event in blocks.fns.values() if event.fn is not None]
    listeners = Counter(target for event in asking for target in event.targets)
    for event in blocks.fns.values():
        alone = all(listeners[target] <= 1 for target in event.targets)
        if event.trigger_mode == "always_last" and not alone:
            event.trigger_mode = "multiple"
