"""Find tool calls in the text of an answer, in all forms of call_forms; the rest stays text."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from backend.serving.call_forms import (
    FORMS,
    Call,
    Form,
    json_calls,
    named_json_calls,
    shared_mark_calls,
    to_openai,
)
from backend.serving.call_stream import CallStream
from backend.serving.call_values import Json, Tools
from backend.serving.decoding import possible_start
from backend.serving.live_calls import PEEKS, LiveCall, certain_calls, peek_bare

MAX_ENDS = 16  # closing marks that are tried, as one may be inside an argument's text
MAX_FAILED = 32  # marks without a call, after which the rest of the answer is text
FENCE = "```"


class Calls:
    """Reads the answer to a request with these tools, piece by piece.

    `add` gives text that may be shown at once; `end` gives the held-back text. `stream` has the
    calls, as far as they have come. Only tools of the request can be called; a call in a code block
    is an example and stays text. Without tools everything is shown at once.
    """

    def __init__(self, tools: Sequence[Json] | None, forms: Sequence[Form] = FORMS) -> None:
        self.stream = CallStream()
        self._tools = Tools(tools)
        self._forms = forms
        self._marks = (*(form.opens for form in forms), FENCE)
        self._held = ""
        self._begun = False  # some text was shown: from here on only a mark begins a call
        self._form: Form | None = None  # of the calls whose mark has been read
        self._at = 0  # the place behind that mark
        self._first = 0  # the number of the first of these calls
        self._closings = 0  # closing marks that have been tried
        self._told = 0  # the held text up to here is in what was told of calls
        self._is_behind = False  # a call has come since the last text
        self._fences = 0

    def add(self, piece: str) -> str:
        """Take a piece; returns the text so far that is not a call and cannot become one."""
        if not self._tools:
            return piece
        self._held += piece
        if not self._begun and not self._first and self._form is None and self._may_be_bare():
            self._peek(peek_bare(self._held, self._tools))
            return ""
        shown = ""
        while True:
            if self._form is None:
                shown += self._read_text()
            if self._form is None or not self._read_calls():
                return shown

    def end(self, *, cut: bool = False) -> str:
        """The rest of the text, at the end of the answer.

        `cut`: the answer is not complete, so a call needs its closing mark. A call that has been
        told in part is closed; what comes behind that part is text, if the answer is not cut.
        """
        region = self._last_region(cut)
        if region is not None:
            self.stream.settle(self._first, region[0])
            self._leave(region[1])
        elif len(self.stream.calls) > self._first:
            self.stream.close()
            self._leave(len(self._held) if cut else self._told)
        texts, calls = self._marked_calls(cut)
        self.stream.settle(len(self.stream.calls), calls)
        if not self.stream.calls:
            return self._held
        head = "" if self._is_behind else texts.pop(0).rstrip()
        inner = [each for each in region[0] if isinstance(each, str)] if region else []
        rest = "\n".join(text.strip() for text in (*inner, *texts) if text.strip())
        return head + ("\n" + rest if rest and (head or self._begun) else rest)

    def _last_region(self, cut: bool) -> tuple[Sequence[Call | str], int] | None:
        """The calls that the held text ends with, and the place behind, or None for no call."""
        if self._form is not None:
            return self._read_region(self._at, self._form, cut)
        is_bare = not self._begun and not self._first
        calls = _unmarked_calls(self._held, self._tools) if is_bare else []
        return (calls, len(self._held)) if calls else None

    def _read_text(self) -> str:
        """Take the held text up to a mark. Blanks before a call do not belong to the content."""
        start = _find_mark(self._held, 0, self._fences, self._forms)
        until = start[0] if start else len(self._held) - possible_start(self._held, self._marks)
        text = self._held[:until].rstrip()
        self._held = self._held[len(text) :]
        self._fences += text.count(FENCE)
        if start:
            place, self._form = start
            self._at = place - len(text) + len(self._form.opens)
        if text and self._is_behind:
            text = "\n" * self._begun + text.lstrip()
            self._is_behind = False
        self._begun = self._begun or bool(text)
        return text

    def _read_calls(self) -> bool:
        """Read calls behind their mark; returns whether their closing mark has come."""
        assert self._form is not None
        peek = PEEKS.get(self._form.opens)
        if peek:
            self._peek(peek(self._held[self._at :], self._tools))
        closings = self._held.count(self._form.closes, self._at) if self._form.closes else 0
        if closings == self._closings:
            return False
        self._closings = closings
        region = self._read_region(self._at, self._form, cut=True)
        if region is None:
            return False
        self.stream.settle(self._first, region[0])
        self._leave(region[1])
        return True

    def _peek(self, lives: Iterable[LiveCall]) -> None:
        if self.stream.tell(self._first, certain_calls(lives, self._tools)):
            self._told = len(self._held)

    def _leave(self, behind: int) -> None:
        """Go on with the text behind calls."""
        self._held, self._form = self._held[behind:], None
        self._first = len(self.stream.calls)
        self._closings = self._told = 0
        self._is_behind = True

    def _may_be_bare(self) -> bool:
        text = self._held.lstrip()
        if any(text.startswith(form.opens) for form in self._forms):
            return False
        return (
            not text
            or text[0] in "{["
            or any(text.startswith(name) or name.startswith(text) for name in self._tools.names)
        )

    def _marked_calls(self, cut: bool) -> tuple[list[str], list[Call]]:
        """The texts outside of marked calls, and the calls."""
        texts, calls, at, done, failed = [], [], 0, 0, 0
        while failed < MAX_FAILED and (
            mark := _find_mark(self._held, at, self._fences, self._forms)
        ):
            start, form = mark
            at = start + len(form.opens)
            region = self._read_region(at, form, cut)
            if region is None:
                failed += 1
                continue
            items, at = region
            texts += [self._held[done:start], *(each for each in items if isinstance(each, str))]
            calls += [each for each in items if isinstance(each, Call)]
            done = at
        return [*texts, self._held[done:]], calls

    def _read_region(
        self, at: int, form: Form, cut: bool
    ) -> tuple[Sequence[Call | str], int] | None:
        """Read calls in a form at a place; gives them and the place behind, or None for no call."""
        for end, behind in _possible_ends(self._held, at, form.closes, cut):
            read = partial(form.read, self._held[at:end], self._tools)
            items = read_known_calls(read, self._tools)
            if items is not None:
                return items, behind
        return None


def _find_mark(text: str, at: int, fences: int, forms: Sequence[Form]) -> tuple[int, Form] | None:
    """The first opening mark from a place on, the longest of several at one place.

    `fences` is the number of code fences before this text; marks inside a code block do not count.
    """
    while places := [(place, form) for form in forms if (place := text.find(form.opens, at)) >= 0]:
        place, form = min(places, key=lambda item: (item[0], -len(item[1].opens)))
        if (fences + text.count(FENCE, 0, place)) % 2 == 0:
            return place, form
        at = place + 1
    return None


def _possible_ends(text: str, at: int, closes: str, cut: bool) -> Iterator[tuple[int, int]]:
    """Yield the places where calls may end and where the text continues; the last is its end."""
    place = text.find(closes, at) if closes else -1
    for _ in range(MAX_ENDS):
        if place < 0:
            break
        yield place, place + len(closes)
        place = text.find(closes, place + 1)
    if not (closes and cut):
        yield len(text), len(text)


def read_known_calls(
    read: Callable[[], Sequence[Call | str]], tools: Tools
) -> Sequence[Call | str] | None:
    """The result of a reader, or None where it fails or calls an unknown tool."""
    try:
        items = read()
        calls = [item for item in items if isinstance(item, Call)]
        for call in calls:
            to_openai(call)
    except (ValueError, RecursionError):
        return None
    return items if calls and all(call.name in tools for call in calls) else None


def _unmarked_calls(text: str, tools: Tools) -> list[Call]:
    """Calls without marks, which must be the whole answer (Llama 3 and 4, GLM-4)."""
    for read in (json_calls, named_json_calls, shared_mark_calls):
        items = read_known_calls(partial(read, text, tools), tools)
        if items:
            return [item for item in items if isinstance(item, Call)]
    return []
