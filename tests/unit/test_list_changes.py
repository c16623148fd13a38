"""A browser that applies each answer about a list has the rows that the server has."""

import json
import random
from dataclasses import dataclass, replace
from typing import Any

from app.form.list_changes import FIRST, ListChanges
from app.form.listing import Action, Cell, Listing, ListItem, View


@dataclass(frozen=True)
class Row:
    key: str
    text: str = ""


def apply(rows: list[Row], answer: dict[str, Any]) -> list[Row]:
    """What app/browser/list_rows.js does."""
    if answer["places"] is None:
        return list(answer["rows"])
    out = {*answer["gone"], *(row.key for row in answer["rows"])}
    rows = [row for row in rows if row.key not in out]
    for place, row in zip(answer["places"], answer["rows"], strict=True):
        rows.insert(place, row)
    return rows


def change(rows: list[Row], rng: random.Random) -> list[Row]:
    rows = [*rows]
    for _ in range(rng.randrange(4)):
        kind, place = rng.randrange(4), rng.randrange(len(rows) + 1)
        if kind == 0:
            rows.insert(place, Row(f"k{rng.random()}"))
        elif kind == 1 and place < len(rows):
            del rows[place]
        elif kind == 2 and place < len(rows):
            rows[place] = replace(rows[place], text=str(rng.random()))
        elif kind == 3 and rng.random() < 0.1:
            rng.shuffle(rows)
    return rows


def test_browsers_that_ask_now_and_then() -> None:
    rng = random.Random(0)
    changes, rows = ListChanges(), [Row(f"r{number}") for number in range(20)]
    browsers: list[tuple[list[Row], str]] = [([], "")] * 3
    in_parts = 0
    for _ in range(500):
        rows = change(rows, rng)
        for at, (known, cursor) in enumerate(browsers):
            if rng.random() < 0.5:
                answer = changes.tell(rows, cursor)
                in_parts += answer["places"] is not None
                browsers[at] = apply(known, answer), answer["cursor"]
                assert browsers[at][0] == rows
                assert answer["count"] == len(rows)
    assert in_parts > 400


def test_only_what_is_new_is_told() -> None:
    changes, rows = ListChanges(), [Row(f"r{number}") for number in range(10_000)]
    cursor = changes.tell(rows, "")["cursor"]
    assert changes.tell(rows, cursor)["rows"] == []
    rows = [*rows]
    rows[5000] = Row("r5000", "new")
    answer = changes.tell(rows, cursor)
    assert (answer["rows"], answer["places"], answer["gone"]) == ([rows[5000]], [5000], [])


def test_the_first_rows_come_first() -> None:
    changes, rows = ListChanges(), [Row(f"r{number}") for number in range(FIRST + 1)]
    answer = changes.tell(rows, "", is_first=True)
    assert (len(answer["rows"]), answer["count"], answer["cursor"]) == (FIRST, FIRST + 1, "")
    whole = changes.tell(rows[:FIRST], "", is_first=True)
    assert whole["cursor"]


def test_cursors_of_other_lists_and_hostile_ones_are_unknown() -> None:
    rows = [Row("a")]
    other = ListChanges().tell(rows, "")["cursor"]
    changes = ListChanges()
    name = changes.tell(rows, "")["cursor"].partition("-")[0]
    for cursor in ("", "-", other, f"{name}-9", f"{name}--1", f"{name}-x", f"{name}-" + "9" * 5000):
        assert changes.tell(rows, cursor)["places"] is None


def test_the_answer_leaves_out_what_is_empty_and_keeps_nothing_for_a_number() -> None:
    """Ten thousand rows are sent at once; a name may hold half a character."""
    cells = [Cell("a\udc80", time="2026-11-30"), Cell("0", number=0)]
    rows = [ListItem("k", cells, [Action("stop", "Stop")])]
    listing = Listing("test", lambda _, lang: View(["x", "y"], rows, ""))
    read = listing.draw("runs.table", "test-table").read
    answer = json.loads(read({"lang": "en"}).body)
    assert answer["rows"] == [
        {
            "key": "k",
            "cells": [{"text": "a?", "time": "2026-11-30"}, {"text": "0", "number": 0}],
            "actions": [{"name": "stop", "text": "Stop"}],
        }
    ]
    again = json.loads(read({"lang": "en", "cursor": answer["cursor"]}).body)
    assert (again["ok"], again["rows"], again["places"]) == (True, [], [])
