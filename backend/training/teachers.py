"""The teacher of a distillation: a frozen model beside the student, or a server with
log-probabilities."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from backend.contract.arguments.typed import Arguments
from backend.contract.preflight.rewards import SERVER, TEACHER
from backend.contract.system.addresses import redact
from backend.contract.texts.problems import ModelError, Problem, TuneboardError, UsageError
from backend.model import load as models
from backend.model import vocabulary
from backend.model.reference import OtherModel
from backend.training import http_requests

OTHER = OtherModel(
    TEACHER, "teacher_model_adapters", "teacher_model_quantization_bit", rest=TEACHER
)
NUMBERED = "token_id:"  # how vLLM writes a token where it is asked for ids


def require_vocabulary(values: Arguments) -> None:
    """Raise UsageError where teacher and student do not read the same tokens: a divergence compares
    their chances token by token. ModelError where the teacher's config has too few rows."""
    if not values.teacher_model:
        return
    teacher = OTHER.loading_arguments(values)
    with OTHER.redirect_problems():
        teacher_vocab = models.tokenizer(teacher).get_vocab()
    vocab = models.tokenizer(values).get_vocab()
    differing = vocabulary.difference(vocab, teacher_vocab)
    if differing:
        params = {"path": values.teacher_model, **differing}
        raise UsageError(Problem(code="teacher_other_tokenizer", field=TEACHER, params=params))
    if not models.adapter_folders(teacher):  # these may bring rows along
        wanted = min(models.embedding_rows(values), vocabulary.rows_needed(vocab))
        _require_rows(models.embedding_rows(teacher), wanted)


def _require_rows(rows: int, wanted: int) -> None:
    if rows < wanted:
        params = {"rows": rows, "wanted": wanted}
        raise ModelError(Problem(code="teacher_vocabulary", field=TEACHER, params=params))


def require_server(values: Arguments) -> None:
    """Raise TuneboardError where a teacher's server does not answer one token as it should, before
    a model is loaded."""
    if not values.teacher_server:
        return
    tokenizer = models.tokenizer(values)
    TeacherServer(values, tokenizer, len(tokenizer)).ask_one()


def load(values: Arguments, student: Any) -> Any:
    """The teacher, frozen, on the student's device, with at most as many rows of logits.

    Rows beyond the student's belong to no token and are left out. Raises ModelError where it cannot
    be loaded, or lacks the row of a token that the student has one for.
    """
    model = OTHER.load(values)
    rows = count_rows(model)
    wanted = count_rows(student)
    _require_rows(rows, min(wanted, vocabulary.rows_needed(models.tokenizer(values).get_vocab())))
    if rows > wanted:
        model.resize_token_embeddings(wanted)
    model.config.get_text_config().vocab_size = wanted  # else trl refuses a teacher of fewer rows
    return OTHER.freeze(model, values, student.device)


def count_rows(model: Any) -> int:
    """How many tokens a model gives chances to."""
    return int(model.get_output_embeddings().weight.shape[0])


@contextmanager
def first_rows(model: Any, rows: int) -> Iterator[None]:
    """Within, the output layer of a model is its first `rows` rows."""
    head = model.get_output_embeddings()
    bias = None if head.bias is None else head.bias[:rows]
    part = SimpleNamespace(weight=head.weight[:rows], bias=bias)
    model.get_output_embeddings = lambda: part
    try:
        yield
    finally:
        del model.get_output_embeddings


class TeacherServer:
    """A server that speaks OpenAI's completions with `echo` and `logprobs`, as vLLM's does.

    It is asked in token ids, so its model must have the student's vocabulary, which has `rows`
    tokens; an answer with others is refused. Raises TuneboardError where it does not answer
    as it should.
    """

    def __init__(self, values: Arguments, tokenizer: Any, rows: int) -> None:
        self.rows = rows
        self.address = str(values.teacher_server).rstrip("/")
        if not self.address.endswith("/completions"):
            self.address += "/completions" if self.address.endswith("/v1") else "/v1/completions"
        self.model = values.teacher_server_model or ""
        self.key = os.environ.get("TEACHER_API_KEY", "")
        self.tokenizer = tokenizer
        self._ids: dict[str, int] = {}

    def get_sequence_logprobs(
        self,
        sequences: Sequence[list[int]],
        prompt_lengths: Sequence[int],
        top_logprobs: int,
        temperature: float,
    ) -> dict[str, list[Any]]:
        """As trl's client of vLLM: for each sequence and each token behind its prompt the
        log-probability of the token itself (`actual_logprobs` [t, 1]), and the likeliest tokens
        with theirs (`logprob_token_ids`, `logprobs` [t, top_logprobs]), sorted."""
        assert temperature == 1.0, "a part of a distribution cannot be taken to another temperature"
        choices = self._ask(sequences, top_logprobs)
        result: dict[str, list[Any]] = {
            "actual_logprobs": [],
            "logprobs": [],
            "logprob_token_ids": [],
        }
        for ids, start, choice in zip(sequences, prompt_lengths, choices, strict=True):
            logprobs, tops = choice["token_logprobs"], choice["top_logprobs"]
            if min(len(logprobs), len(tops)) < len(ids):
                raise self._response_error(
                    f"{len(logprobs)} log-probabilities for {len(ids)} tokens"
                )
            likely = [
                self._likeliest(tops[place], top_logprobs) for place in range(start, len(ids))
            ]
            actual = [logprobs[place] for place in range(start, len(ids))]
            if not all(isinstance(each, int | float) and math.isfinite(each) for each in actual):
                raise self._response_error(repr(actual)[:80])
            result["actual_logprobs"].append([[float(each)] for each in actual])
            result["logprob_token_ids"].append([[number for number, _ in row] for row in likely])
            result["logprobs"].append([[chance for _, chance in row] for row in likely])
        return result

    def ask_one(self) -> None:
        """Ask about one token."""
        self._ask([self.tokenizer("a", add_special_tokens=False)["input_ids"][:1]], 1)

    def _likeliest(self, row: Any, count: int) -> list[tuple[int, float]]:
        """The `count` likeliest tokens of one place by id, the likeliest first."""
        if not isinstance(row, dict) or len(row) < count:
            count_found = len(row) if isinstance(row, dict) else 0
            params: dict[str, str | int] = {"found": count_found, "wanted": count}
            raise TuneboardError(
                Problem(code="teacher_too_few", field="teacher_top_k", params=params)
            )
        tokens = sorted(row.items(), key=lambda pair: -pair[1])[:count]
        return [(self._token_id(token), float(chance)) for token, chance in tokens]

    def _token_id(self, token: str) -> int:
        if token.startswith(NUMBERED):
            number = int(token.removeprefix(NUMBERED))
            if number >= self.rows:
                raise self._response_error(
                    f"the token {number}, of {self.rows} that this model has"
                )
            return number
        if not self._ids:
            texts = [self.tokenizer.decode([number]) for number in range(len(self.tokenizer))]
            times = Counter(texts)
            self._ids = {text: place for place, text in enumerate(texts) if times[text] == 1}
        if token not in self._ids:
            raise self._response_error(f"the token {token[:40]!r}, which stands for no single id")
        return self._ids[token]

    def _ask(self, sequences: Sequence[list[int]], count: int) -> list[dict[str, Any]]:
        body = {
            "model": self.model,
            "prompt": [list(ids) for ids in sequences],
            "max_tokens": 1,
            "temperature": 0,
            "echo": True,
            "logprobs": count,
            "return_tokens_as_token_ids": True,
        }
        try:
            response = http_requests.post(self.address, body, self.key)
        except http_requests.RequestError as error:
            raise self._problem("teacher_server_failed", str(error)) from error
        try:
            choices = sorted(response.json()["choices"], key=lambda choice: choice["index"])
            rows: list[dict[str, Any]] = [choice["logprobs"] for choice in choices]
            lists = [choice[name] for choice in rows for name in ("token_logprobs", "top_logprobs")]
        except (ValueError, KeyError, TypeError):
            rows, lists = [], []
        if len(rows) != len(sequences) or not all(isinstance(choice, list) for choice in lists):
            raise self._response_error(response.text[:120])
        return rows

    def _response_error(self, reason: str) -> TuneboardError:
        return self._problem("teacher_server_wrong", reason)

    def _problem(self, code: str, reason: str) -> TuneboardError:
        params = {"url": redact(self.address), "reason": reason}
        return TuneboardError(Problem(code=code, field=SERVER, params=params))
