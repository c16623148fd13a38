"""A list of things as one component: what each is, its state, and what can be done in its row."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.form.component import Question, answer, make_call, make_component
from app.i18n import languages, t

WORDS = ("filter", "no_match", "no", "unread")

Read = Callable[[Question, str], "View"]
Act = Callable[[str, str, Question], dict[str, str]]


@dataclass(frozen=True)
class Action:
    """A button in a row.

    question  what has to be confirmed first; "" for nothing
    confirm   the words of the button that confirms it
    """

    name: str
    text: str
    question: str = ""
    confirm: str = ""


@dataclass(frozen=True)
class Cell:
    """A text in a row; `detail` stands below it in smaller type, `tone` makes it a pill.

    `time` is an ISO time, which the browser writes behind the detail, as the visitor's language and
    zone do.
    """

    text: str
    detail: str = ""
    tone: str = ""
    time: str = ""


@dataclass(frozen=True)
class ListItem:
    """One thing of a list: `key` is what the component's value is once it is chosen, which a
    `fixed` one cannot be."""

    key: str
    cells: Sequence[Cell]
    actions: Sequence[Action] = ()
    fixed: bool = False


@dataclass(frozen=True)
class View:
    """What a list shows: titles of columns (a number's ends with its cells), rows, and what is
    said instead where there is none ("" for nothing), with the one action that helps."""

    columns: Sequence[str]
    rows: Sequence[ListItem]
    empty: str
    begin: Action | None = None
    numbers: Sequence[int] = ()


class Listing:
    """A list whose value is the key of the chosen row, "" for none.

    key     what the ids of its elements begin with
    read    what it shows, from a question {"place"} and the language
    act     does what a row's action says, (name, key, question), and tells it in words by language
    events  actions that are events of the component instead; "choose" tells a choice by a person
    first   whether the first row is chosen while none is
    filtered  whether it can be filtered by words
    """

    def __init__(
        self,
        key: str,
        read: Read,
        act: Act | None = None,
        *,
        events: Sequence[str] = (),
        first: bool = False,
        filtered: bool = True,
    ) -> None:
        self.key = key
        self.events = events
        self.first = first
        self.filtered = filtered
        self._read = read
        self._act = act

    def draw(
        self,
        label: str,
        elem_id: str,
        *,
        value: str = "",
        place: str = "",
        news: Sequence[str] = (),
    ) -> Any:
        """Draw it here; returns the component. `label` is the key of its name for those who do not
        see it, `place` where its things lie; it is read again after these parts of the news."""

        def read(asked: Any) -> Question:
            return answer(self._view, asked)

        def act(asked: Any) -> Question:
            return answer(self._answer_action, asked)

        return make_component(
            "list",
            '<div class="list"></div>',
            value,
            events=self.events,
            functions=[read, act],
            elem_id=elem_id,
            prefix=f"{self.key}-",
            first=self.first,
            filtered=self.filtered,
            place=place,
            news=[*news],
            label={lang: t(label, lang) for lang in languages()},
        )

    def set_place(self) -> str:
        """What an event takes as `js`: its input is where the things of the list lie."""
        return make_call("list", "setPlace", f"{self.key}-")

    def _view(self, asked: Question, lang: str) -> Question:
        words = {name: t(f"list.{name}", lang) for name in WORDS}
        return {**asdict(self._read(asked, lang)), "words": words}

    def _answer_action(self, asked: Question, _: str) -> Question:
        name, key = str(asked.get("action", "")), str(asked.get("key", ""))
        return {"words": self._act(name, key, asked) if self._act else {}}
