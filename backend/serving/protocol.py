"""OpenAI's chat completion protocol: the formats of answers and errors.

https://platform.openai.com/docs/api-reference/chat
"""

import time
from collections.abc import Sequence
from typing import Any

from backend.contract.texts.locales import t
from backend.serving.reasoning import Piece
from backend.serving.token_texts import Logprob

Json = dict[str, Any]
RETRY_AFTER = {"too_many_waiting": 1, "model_loading": 5}  # seconds


class ApiError(Exception):
    """A request that is refused: HTTP status, OpenAI's error type, code and parameter."""

    def __init__(self, status: int, code: str, param: str | None = None, **words: object) -> None:
        self.status = status
        self.code = code
        self.param = param
        super().__init__(t(f"api.{code}", **words))

    @property
    def headers(self) -> dict[str, str]:
        """When a client may try again, in seconds, where it may."""
        seconds = RETRY_AFTER.get(self.code)
        return {} if seconds is None else {"Retry-After": str(seconds)}

    def body(self) -> Json:
        """The body of the answer in OpenAI's format."""
        return error_body(str(self), self.status, self.code, self.param)


def error_body(message: str, status: int, code: str, param: str | None = None) -> Json:
    """OpenAI's error object."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def assistant(pieces: Sequence[Piece], calls: list[Json]) -> Json:
    """The message of an answer; a thought is its reasoning_content, as in DeepSeek's API."""
    content = "".join(piece.content for piece in pieces)
    reasoning = "".join(piece.reasoning for piece in pieces)
    message: Json = {"role": "assistant", "content": content or None if calls else content}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def usage(prompt: int, completion: int) -> Json:
    """Token counts in OpenAI's format, the end token included."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


class Shapes:
    """Builds completion and chunk objects of one request, with its id, time and model name."""

    whole = "chat.completion"
    part = "chat.completion.chunk"

    def __init__(self, answer_id: str, model: str, with_usage: bool) -> None:
        self.with_usage = with_usage
        self._head: Json = {"id": answer_id, "created": int(time.time()), "model": model}

    def delta(
        self,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Sequence[Logprob] | None = None,
    ) -> Json:
        """One event of a stream: what is new of a choice of a chat."""
        shown = chat_logprobs(logprobs)
        return self.chunk(
            {"index": index, "delta": delta, "logprobs": shown, "finish_reason": finish}
        )

    def chunk(self, choice: Json) -> Json:
        """One event of a stream."""
        return self._chunk([choice], None)

    def usage_chunk(self, counts: Json) -> Json:
        """The last event of a stream whose request asked for token counts."""
        return self._chunk([], counts)

    def _chunk(self, choices: list[Json], counts: Json | None) -> Json:
        body = {**self._head, "object": self.part, "choices": choices}
        return {**body, "usage": counts} if self.with_usage else body

    def choice(
        self, index: int, message: Json, finish: str, logprobs: Sequence[Logprob] | None
    ) -> Json:
        """One choice of a whole answer."""
        shown = chat_logprobs(logprobs)
        return {"index": index, "message": message, "logprobs": shown, "finish_reason": finish}

    def completion(self, choices: list[Json], counts: Json) -> Json:
        """The whole answer."""
        return {**self._head, "object": self.whole, "choices": choices, "usage": counts}


class TextShapes(Shapes):
    """Builds those of a text that is continued."""

    whole = part = "text_completion"


def chat_logprobs(logprobs: Sequence[Logprob] | None) -> Json | None:
    """Log-probabilities as those of a chat's choice; None where nobody asks for them."""
    if logprobs is None:
        return None
    content = [
        {**_token(each), "top_logprobs": [_token(other) for other in each.likeliest]}
        for each in logprobs
    ]
    return {"content": content, "refusal": None}


def _token(each: Logprob) -> Json:
    return {"token": each.text, "logprob": each.logprob, "bytes": list(each.content)}
