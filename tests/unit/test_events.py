"""How the handlers of a page answer: in the order of its events, in words, and with all they ask
for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr
import pytest
from gradio.route_utils import Request
from gradio.state_holder import SessionState

from app import events
from app.tabs.shared.context import in_turn
from backend.contract.texts.locales import t

Ask = Callable[..., Any]


class Page:
    """A page of some handlers, and its server as two browsers know it."""

    def __init__(self, *handlers: Callable[..., Any], told: bool = False) -> None:
        with gr.Blocks() as self.blocks:
            box = gr.Textbox(elem_id=events.LANGUAGE_BOX if told else "other")
            for handler in handlers:
                gr.Button().click(handler, box, box)
        events.prepare(self.blocks)
        self.events = [self.blocks.fns[number] for number in sorted(self.blocks.fns)]
        self.states = {name: SessionState(self.blocks) for name in ("one", "two")}

    async def ask(self, value: str, number: int = 0, session: str = "one") -> Any:
        """The answer to an event of a browser."""
        answer = await self.blocks.process_api(
            self.events[number],
            [value],
            state=self.states[session],
            request=Request(session_hash=session),
            event_data=gr.SelectData(None, {"index": 7, "value": "x"}),
        )
        return answer["data"][0]


def test_of_two_events_of_a_page_the_later_is_answered_last() -> None:
    """Each sends a whole form: the earlier answer would be shown for good where it comes late."""
    order: list[str] = []
    begun, never = threading.Event(), threading.Event()

    def handler(value: str) -> str:
        if value == "early":
            begun.set()
            never.wait(0.3)
        order.append(value)
        return value

    async def both(second: str) -> None:
        page, order[:] = Page(handler), []
        begun.clear()
        early = asyncio.create_task(page.ask("early"))
        await asyncio.to_thread(begun.wait)
        await page.ask("late", session=second)
        await early

    asyncio.run(both("one"))
    assert order == ["early", "late"]
    asyncio.run(both("two"))
    assert order == ["late", "early"], "another visitor must not wait"


def test_handlers_of_one_turn_wait_for_each_other() -> None:
    def meet(first: str, second: str, seconds: float) -> bool:
        """Whether the handlers of two turns run at the same time."""
        barrier = threading.Barrier(2)
        met = []

        def make(turn: str) -> Callable[[str], str]:
            def handler(value: str) -> str:
                with contextlib.suppress(threading.BrokenBarrierError):
                    met.append(barrier.wait(seconds))
                return value

            return in_turn(turn)(handler)

        async def both(page: Page) -> None:
            await asyncio.gather(page.ask("one", 0), page.ask("other", 1))

        asyncio.run(both(Page(make(first), make(second))))
        return len(met) == 2

    assert not meet("talk", "talk", 0.3)
    assert meet("talk", "else", 30)


def test_a_lock_goes_with_the_last_that_wants_it() -> None:
    async def locks() -> tuple[int, int]:
        visitors = events.Visitors()
        lock = visitors.turn("one", "talk")
        assert visitors.turn("one", "talk") is lock
        held = len(visitors._turns)
        del lock
        return held, len(visitors._turns)

    assert asyncio.run(locks()) == (1, 0)


def test_the_languages_of_pages_that_are_gone_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "MOST_VISITORS", 2)
    visitors = events.Visitors()
    for session in ("a", "b", "c"):
        visitors.language(session, "zh")
    assert [visitors.language(session) for session in ("a", "b", "c")] == ["en", "zh", "zh"]


def fail(value: str) -> str:
    raise KeyError(value)


def fail_late(value: str) -> Iterator[str]:
    yield value
    raise KeyError(value)


def refuse(value: str) -> str:
    raise gr.Error("as it is")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_mistake_is_told_in_the_language_of_the_page(lang: str) -> None:
    """Also where the event does not tell the language, but one before it did; what is no language
    is none."""
    page = Page(fail, told=True)
    for value in (lang, "no language"):
        with pytest.raises(gr.Error) as caught:
            asyncio.run(page.ask(value))
        assert t("page.error_title", lang) in caught.value.message
        assert "KeyError" in caught.value.message
        assert caught.value.duration is None
    with pytest.raises(gr.Error) as caught:
        asyncio.run(page.ask("no language", session="two"))
    assert t("page.error_title", "en") in caught.value.message


def test_a_mistake_of_a_stream_is_told() -> None:
    page = Page(fail_late)

    async def run() -> list[Any]:
        handler, request = page.events[0].fn, Request(session_hash="one")
        return [*handler(request, "a")]

    with pytest.raises(gr.Error) as caught:
        asyncio.run(run())
    assert t("page.error_title", "en") in caught.value.message


def test_an_error_that_is_meant_for_the_page_stays_as_it_is() -> None:
    with pytest.raises(gr.Error) as caught:
        asyncio.run(Page(refuse).ask("x"))
    assert caught.value.message == "as it is"


def asks_all(
    value: str, page: gr.Request, chosen: gr.SelectData, more: str = "", *rest: str
) -> str:
    return f"{value} {page.session_hash} {chosen.index} {more}{rest}"


def fill(first: str, value: str) -> str:
    return first + value


class Tab:
    def handler(self, *values: str) -> str:
        return " ".join(values)


def test_a_handler_gets_what_it_asks_for() -> None:
    """What Gradio reads from the parameters of a handler: the request, what was selected."""
    page = Page(asks_all, Tab().handler, lambda value: value.upper(), partial(fill, "b"))
    answers = [asyncio.run(page.ask("a", number)) for number in range(4)]
    assert answers == ["a one 7 ()", "a", "A", "ba"]
