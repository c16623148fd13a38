"""Tool calls in an answer's text, in the forms that models write; everything else stays text."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from backend.serving.call_forms import (
    FORMS,
    Call,
    Form,
    either,
    json_calls,
    named_json,
    written,
)
from backend.serving.call_values import Json, Tools
from backend.serving.decoding import possible_start

MAX_ENDS = 16  # closing marks that are tried: one may stand within an argument's text
MAX_FAILED = 32  # marks behind which there was no call, until the rest of the answer is a text
FENCE = "```"


class Calls:
    """Takes the answer to a request with these tools, piece by piece.

    `add` gives what may be shown at once; `end` what was held back, and the calls in the answer, as
    OpenAI writes them. Only calls of tools that the request names are calls; one in a code block is
    an example, and stays text. Without tools everything is shown at once.
    """

    def __init__(self, tools: Sequence[Json] | None, forms: Sequence[Form] = FORMS) -> None:
        self._tools = Tools(tools)
        self._forms = forms
        self._marks = (*(form.opens for form in forms), FENCE)
        self._held = ""
        self._begun = False  # some text was shown: from here on only a mark begins a call
        self._marked = False
        self._fences = 0

    def add(self, piece: str) -> str:
        """The part of the text so far that is no call and cannot become one."""
        if not self._tools:
            return piece
        self._held += piece
        if self._marked or (not self._begun and self._may_be_bare()):
            return ""
        start = _mark(self._held, 0, self._fences, self._forms)
        self._marked = start is not None
        until = start[0] if start else len(self._held) - possible_start(self._held, self._marks)
        until = len(self._held[:until].rstrip())  # blanks before a call are none of the content
        shown, self._held = self._held[:until], self._held[until:]
        self._fences += shown.count(FENCE)
        self._begun = self._begun or bool(shown)
        return shown

    def end(self, *, cut: bool = False) -> tuple[str, list[Json]]:
        """The rest of the text, and the calls that were in it.

        `cut`: the answer ended before its end, so a call needs its closing mark.
        """
        texts: list[str] = []
        calls = [] if self._begun else _bare(self._held, self._tools)
        if not calls:
            texts, calls = self._marked_calls(cut)
        if not calls:
            return self._held, []
        rest = "\n".join(text.strip() for text in texts if text.strip())
        return ("\n" + rest if rest and self._begun else rest), [written(call) for call in calls]

    def _may_be_bare(self) -> bool:
        text = self._held.lstrip()
        return (
            not text
            or text[0] in "{["
            or any(text.startswith(name) or name.startswith(text) for name in self._tools.names)
        )

    def _marked_calls(self, cut: bool) -> tuple[list[str], list[Call]]:
        """The texts outside of marked calls, and the calls."""
        texts, calls, at, done, failed = [], [], 0, 0, 0
        while failed < MAX_FAILED and (mark := _mark(self._held, at, self._fences, self._forms)):
            start, form = mark
            at = start + len(form.opens)
            region = self._region(at, form, cut)
            if region is None:
                failed += 1
                continue
            items, at = region
            texts += [self._held[done:start], *(each for each in items if isinstance(each, str))]
            calls += [each for each in items if isinstance(each, Call)]
            done = at
        return [*texts, self._held[done:]], calls

    def _region(self, at: int, form: Form, cut: bool) -> tuple[Sequence[Call | str], int] | None:
        """A form's calls from a place on, and where the text goes on; None where it is no call."""
        for end, behind in _ends(self._held, at, form.closes, cut):
            read = partial(form.read, self._held[at:end], self._tools)
            items = of_known_tools(read, self._tools)
            if items is not None:
                return items, behind
        return None


def _mark(text: str, at: int, fences: int, forms: Sequence[Form]) -> tuple[int, Form] | None:
    """The first mark from a place on that begins a call, the longest of those that begin there.

    `fences` is how many code fences came before this text; within a code block there are no marks.
    """
    while places := [(place, form) for form in forms if (place := text.find(form.opens, at)) >= 0]:
        place, form = min(places, key=lambda item: (item[0], -len(item[1].opens)))
        if (fences + text.count(FENCE, 0, place)) % 2 == 0:
            return place, form
        at = place + 1
    return None


def _ends(text: str, at: int, closes: str, cut: bool) -> Iterator[tuple[int, int]]:
    """Where the calls may end, and where the text goes on; the end of the answer, too."""
    place = text.find(closes, at) if closes else -1
    for _ in range(MAX_ENDS):
        if place < 0:
            break
        yield place, place + len(closes)
        place = text.find(closes, place + 1)
    if not (closes and cut):
        yield len(text), len(text)


def of_known_tools(
    read: Callable[[], Sequence[Call | str]], tools: Tools
) -> Sequence[Call | str] | None:
    """What a reader gives, where all its calls are of known tools; None where it fails."""
    try:
        items = read()
        calls = [item for item in items if isinstance(item, Call)]
        for call in calls:
            written(call)
    except (ValueError, RecursionError):
        return None
    return items if calls and all(call.name in tools for call in calls) else None


def _bare(text: str, tools: Tools) -> list[Call]:
    """Calls without marks, where they are the whole answer: Llama 3 and 4, and GLM-4."""
    for read in (json_calls, named_json, either):
        items = of_known_tools(partial(read, text, tools), tools)
        if items:
            return [item for item in items if isinstance(item, Call)]
    return []
