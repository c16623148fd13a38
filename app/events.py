"""Answer the events of a page in the order in which it sends them, and show unexpected errors.

An exception that no handler expects becomes a message with a number, under which the server's
output has the traceback.
"""

import asyncio
import functools
import html
import inspect
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from typing import Any, get_type_hints
from weakref import WeakValueDictionary

import gradio as gr
from starlette.concurrency import run_in_threadpool

from app.i18n import DEFAULT_LANGUAGE, languages
from app.problems import describe

LANGUAGE_BOX = "lang"  # element id of the box with a visitor's language
MOST_IN_PROGRESS = 4  # an event with more outputs shows no progress
MOST_VISITORS = 10_000  # for whom the server remembers the language

Handler = Callable[..., Any]


class Visitors:
    """The language and the locks of each open page, by the name of its session."""

    def __init__(self) -> None:
        self._languages: OrderedDict[str, str] = OrderedDict()
        self._turns: WeakValueDictionary[tuple[str, Hashable], asyncio.Lock] = WeakValueDictionary()

    def language(self, session: str, sent: object = None) -> str:
        """Return the language of a page: the one that this event sends, or the last event sent."""
        if isinstance(sent, str) and sent in languages():
            self._languages[session] = sent
            self._languages.move_to_end(session)
            if len(self._languages) > MOST_VISITORS:
                self._languages.popitem(last=False)
        return self._languages.get(session, DEFAULT_LANGUAGE)

    def turn(self, session: str, turn: Hashable) -> asyncio.Lock:
        """Return the lock that only one event of a page holds at a time."""
        return self._turns.setdefault((session, turn), asyncio.Lock())


def prepare(blocks: gr.Blocks) -> None:
    """Set how the events of a built page are answered."""
    visitors = Visitors()
    for event in blocks.fns.values():
        if event.fn is not None:
            boxes = [getattr(box, "elem_id", "") for box in event.inputs]
            place = boxes.index(LANGUAGE_BOX) if LANGUAGE_BOX in boxes else None
            event.fn = guard(event.fn, visitors, place)
    _show_little_progress(blocks)
    _defer_alone(blocks)


def guard(handler: Handler, visitors: Visitors, place: int | None = None) -> Handler:
    """Return a handler that answers the events of a page one by one and shows unexpected errors.

    Each event sends all values of a form, and its answer fills the form. Without an order, the
    answer to the first of two events could come last and stay. Handlers with the same turn
    (`app.tabs.shared.context.in_turn`) wait for each other, too. A generator waits for nothing.

    place  the index of the language among the values of the event's inputs, None for no language
    """
    turn = getattr(handler, "turn", handler)

    def language(request: gr.Request, values: tuple[Any, ...]) -> str:
        sent = None if place is None or place >= len(values) else values[place]
        return visitors.language(_session(request), sent)

    def stream(page_request: gr.Request, *values: Any) -> Iterator[Any]:
        lang = language(page_request, values)
        try:
            yield from handler(*values)
        except gr.Error:
            raise
        except Exception as error:
            raise in_words(error, lang) from error

    async def answer(page_request: gr.Request, *values: Any) -> Any:
        lang = language(page_request, values)
        async with visitors.turn(_session(page_request), turn):
            try:
                return await run_in_threadpool(handler, *values)
            except gr.Error:
                raise
            except Exception as error:
                raise in_words(error, lang) from error

    return _like(handler, stream if inspect.isgeneratorfunction(handler) else answer)


def _like(handler: Handler, guarded: Callable[..., Awaitable[Any] | Iterator[Any]]) -> Handler:
    """Give a guarded handler the name of the handler, and its parameters after the request.

    Gradio reads from the parameters what it passes: the request, or what was selected.
    """
    functools.update_wrapper(guarded, handler)
    signature = inspect.signature(handler)
    first = inspect.Parameter("page_request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [first, *signature.parameters.values()]
    vars(guarded)["__signature__"] = signature.replace(parameters=parameters)
    hints = get_type_hints(handler) if inspect.isroutine(handler) else {}  # a partial has none
    guarded.__annotations__ = {**hints, first.name: gr.Request}
    return guarded


def _session(request: gr.Request) -> str:
    return str(request.session_hash or "")


def in_words(error: Exception, lang: str) -> gr.Error:
    """Return an unexpected error as a message of the page, which stays until it is closed.

    The message begins with its title, since the page of Gradio (6.31) always shows "Error".
    """
    title, words = describe(error, lang)
    message = f"<strong>{html.escape(title)}</strong><br>{html.escape(words)}"
    return gr.Error(message, duration=None, print_exception=False)


def _show_little_progress(blocks: gr.Blocks) -> None:
    """Show no progress on the outputs of an event that fills a whole form.

    At every event, the page walks through all components for each output that ever showed some.
    """
    for event in blocks.fns.values():
        if event.show_progress == "hidden" or len(event.outputs) > MOST_IN_PROGRESS:
            event.show_progress_on = []


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
