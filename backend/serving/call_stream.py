"""The tool calls of one answer as a stream tells them: id and name first, then the arguments."""

from collections.abc import Iterable
from typing import Any

from backend.serving.call_forms import Call, to_openai
from backend.serving.call_values import Json
from backend.serving.live_calls import LiveCall


class CallStream:
    """The calls of one answer as a stream tells them: first the id, the type and the name of each,
    then its arguments in pieces, which joined are JSON.

    calls     the calls so far, in OpenAI's format
    is_whole  whether no call had to be closed before its end
    """

    def __init__(self) -> None:
        self.calls: list[Json] = []
        self.is_whole = True
        self._deltas: list[Json] = []
        self._text = ""  # the arguments of the last call, closed where they stand
        self._is_open = False

    def take(self) -> tuple[Json, ...]:
        """The deltas that have not been taken yet."""
        deltas, self._deltas = tuple(self._deltas), []
        return deltas

    def tell(self, first: int, lives: Iterable[LiveCall]) -> bool:
        """Tell what is new of some calls, of which the first has this number; returns whether that
        is anything. A call that differs from what was told of it is left as it is."""
        before = len(self._deltas)
        for number, live in enumerate(lives, first):
            self._tell(number, live)
        return len(self._deltas) > before

    def settle(self, first: int, calls: Iterable[Call | str]) -> None:
        """Tell the calls, from this number on, that their text has come to its end with."""
        whole = (LiveCall(call, True) for call in calls if isinstance(call, Call))
        self.tell(first, whole)
        self.close()

    def _tell(self, number: int, live: LiveCall) -> None:
        shaped = to_openai(live.call)
        text = shaped["function"]["arguments"]
        if number == len(self.calls):
            self.close()
            self._begin(shaped)
        if number < len(self.calls) - 1 or not self._is_open:
            return
        certain = text if live.is_whole else _certain(text, live.call.arguments)
        sent = self.calls[number]["function"]["arguments"]
        if certain.startswith(sent):
            self._text, self._is_open = text, not live.is_whole
            self._add(certain[len(sent) :])

    def close(self) -> None:
        """Close the arguments of a call that ends before its end, so that they are JSON."""
        if not self._is_open:
            return
        self.is_whole, self._is_open = False, False
        self._add(self._text[len(self.calls[-1]["function"]["arguments"]) :])

    def _begin(self, shaped: Json) -> None:
        function = {"name": shaped["function"]["name"], "arguments": ""}
        self.calls.append({**shaped, "function": function})
        self._deltas.append({"index": len(self.calls) - 1, **shaped, "function": dict(function)})
        self._is_open = True

    def _add(self, piece: str) -> None:
        if piece:
            self.calls[-1]["function"]["arguments"] += piece
            index = len(self.calls) - 1
            self._deltas.append({"index": index, "function": {"arguments": piece}})


def _certain(text: str, value: Any) -> str:
    """The beginning of a JSON text that stays when more of its value comes: without the brackets
    at its end, and without the closing quote of its last string."""
    last = value
    while isinstance(last, dict | list) and last:
        last = list(last.values())[-1] if isinstance(last, dict) else last[-1]
    text = text.rstrip("]}")
    return text[:-1] if isinstance(last, str) else text
