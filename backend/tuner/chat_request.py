"""Requests to a model from Python, and its reply as text."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.arguments import canonical_name, parse, resolve
from backend.contract.preflight.model_server import ModelServer
from backend.contract.texts.printing import print_problems
from backend.contract.texts.problems import ModelError, Problem, UsageError, errors
from backend.tuner import names

POLL_S = 0.1
OWN = ("seed", "stop")  # of OpenAI's API, passed on as they are
# Arguments of the table -> what the API calls them.
SENT: dict[ArgumentName, str] = {
    "max_new_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repetition_penalty",
}

Messages = list[dict[str, Any]]


def build_request(
    messages: str | Sequence[Mapping[str, Any]], options: Mapping[str, Any]
) -> tuple[Messages, dict[str, Any]]:
    """Build the conversation and the request body, which says how the answer is drawn.

    Raises UsageError for an unknown option, and for one that is about how the model is loaded.
    """
    left = dict(options)
    system = left.pop("system", None)
    talk = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    turns = [dict(turn) for turn in talk]
    if system is not None:
        turns.insert(0, {"role": "system", "content": str(system)})
    body = {name: left.pop(name) for name in OWN if name in left}
    raw = names.table_arguments(left, "api")
    values, problems = parse(raw, "api")
    refusals = errors(problems) or [
        Problem(code="tuner_not_of_answer", field=name)
        for name in map(canonical_name, raw)
        if name not in SENT and name != "do_sample"
    ]
    if refusals:
        raise UsageError(*refusals)
    body |= {there: values[name] for name, there in SENT.items() if name in raw}
    if raw.get("do_sample") is not None and not resolve(values).do_sample:
        body["temperature"] = 0.0
    return turns, body


def await_ready(server: ModelServer) -> None:
    """Wait until the model is loaded, and print its notices. Raises ModelError with the reason."""
    while (status := server.status()).state == "loading":
        time.sleep(POLL_S)
    if status.state != "ready":
        raise ModelError(Problem(code="tuner_not_loaded", params={"reason": status.detail}))
    print_problems(status.notices)


def pieces(server: ModelServer, talk: Messages, body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of an answer as it comes, without what the model thinks first."""
    for delta in server.deltas(server.models()[0], talk, body):
        if delta.get("content"):
            yield delta["content"]
