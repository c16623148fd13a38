"""A list of things as one component: what each is, its state, and what can be done in its row."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from app.form.component import Question, answer, make_call, make_component
from app.form.list_changes import ListChanges
from app.i18n import TextKeys, t

CAPACITY = 32  # languages and places of a list
WORDS = ("filter", "no_match", "no", "unread")

Read = Callable[[Question, str], "View"]
Act = Callable[[str, str, Question], dict[str, str]]
Pick = Callable[[Any], Question]


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
    zone do. A column is sorted by the `number` of its cells, where they have one, else by the text.
    """

    text: str
    detail: str = ""
    tone: str = ""
    time: str = ""
    number: float | None = None


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
    said instead where there is none ("" for nothing), with the one action that helps. `picks`: the
    words of what is done with ticked rows."""

    columns: Sequence[str]
    rows: Sequence[ListItem]
    empty: str
    begin: Action | None = None
    numbers: Sequence[int] = ()
    picks: Mapping[str, str] = field(default_factory=dict)


class Listing:
    """A list whose value is the key of the chosen row, "" for none.

    key     what the ids of its elements begin with
    read    what it shows, from a question {"place"} and the language
    act     does what a row's action says, (name, key, question), and tells it in words by language
    events  actions that are events of the component instead; "choose" tells a choice by a person
    first   whether the first row is chosen while none is
    filtered  whether it can be filtered by words and sorted by its columns
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
        self._changes: OrderedDict[tuple[str, str], ListChanges] = OrderedDict()
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
        pick: Pick | None = None,
    ) -> Any:
        """Draw it here; returns the component. `label` is the key of its name for those who do not
        see it, `place` where its things lie; it is read again after these parts of the news.
        `pick` answers what is done with ticked rows, {"do", "keys"}; without it none can be ticked.
        """

        def read(asked: Any) -> Response:
            return _write(answer(self.read_view, asked))

        def act(asked: Any) -> Question:
            return answer(self._answer_action, asked)

        return make_component(
            "list",
            '<div class="list"></div>',
            value,
            events=self.events,
            functions=[read, act, *([pick] if pick else [])],
            elem_id=elem_id,
            prefix=f"{self.key}-",
            first=self.first,
            filtered=self.filtered,
            picks=pick is not None,
            place=place,
            news=[*news],
            label=TextKeys(label),
        )

    def set_place(self) -> str:
        """What an event takes as `js`: its input is where the things of the list lie."""
        return make_call("list", "setPlace", f"{self.key}-")

    def read_view(self, asked: Question, lang: str) -> Question:
        """What the browser is told that asks {"place", "cursor", "first"}, see ListChanges.tell."""
        view, changes = self._read(asked, lang), self._changes_of(lang, str(asked.get("place", "")))
        cursor = str(asked.get("cursor", ""))
        return {
            **vars(view),
            **changes.tell(view.rows, cursor, is_first=asked.get("first") is True),
            "words": {name: t(f"list.{name}", lang) for name in WORDS},
        }

    def _changes_of(self, lang: str, place: str) -> ListChanges:
        """What is known of the changes of this list in a language, with its things in a place."""
        changes = self._changes.setdefault((lang, place), ListChanges())
        while len(self._changes) > CAPACITY:
            self._changes.popitem(last=False)
        return changes

    def _answer_action(self, asked: Question, _: str) -> Question:
        name, key = str(asked.get("action", "")), str(asked.get("key", ""))
        return {"words": self._act(name, key, asked) if self._act else {}}


def _write(content: Question) -> Response:
    """The answer as JSON, without what is empty; FastAPI's own way (0.13x) copies all of it first.

    A name from a foreign file system may hold half a character.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_list_fields)
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _list_fields(part: object) -> Question:
    """The fields of a row, a cell or an action that hold anything."""
    return {
        name: value
        for name, value in vars(part).items()
        if value not in ("", None) and value is not False
    }
