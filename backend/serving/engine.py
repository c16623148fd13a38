"""The engine that generates answers: messages in, pieces of text out, alone or in a batch."""

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError
from backend.data import templates
from backend.model import answer_cache, load
from backend.model.answer_batch import Batch, Row
from backend.model.answer_grammar import Grammars, Thought
from backend.model.answer_scores import LastLogits, own_steps, token_logprobs, watch_logits
from backend.model.generation import Sampling, context_length, end_ids, pad_id
from backend.serving.answer_rules import Language, grammar
from backend.serving.decoding import Decoder, StopTexts
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.reasoning import Style
from backend.serving.template_fields import refuse_unread, template_variables
from backend.serving.text_reader import TextReader
from backend.serving.token_texts import TokenTexts
from backend.serving.weights import Weights
from backend.serving.writer import Show, Writer

SCORED = 128  # tokens of a prompt whose log-probabilities are computed at once
OPENING = 16  # tokens at the end of a prompt in which the opening mark of a thought may be

logger = logging.getLogger(__name__)


class Begun(NamedTuple):
    """An answer before its first token: the prompt's token ids, the sampling, the writer of its
    text, and what the request changes in the scores of the next token."""

    ids: list[int]
    sampling: Sampling
    writer: Writer
    steps: Sequence[Any]

    def row(self, request: GenerationRequest) -> Row:
        """The answer as a row of a batch."""
        return Row(
            self.ids,
            self.sampling,
            self.writer.take,
            request.cancelled.is_set,
            own_steps=self.steps,
            listener=self.writer,
        )


class Engine:
    """A loaded model with its tokenizer and template. Not thread-safe."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        template: Any,
        notices: Sequence[Problem] = (),
        weights: Weights | None = None,
    ) -> None:
        self._model = model
        self._weights = weights or Weights(model)
        self._tokenizer = tokenizer
        self._template = template
        self._end = end_ids(model, tokenizer, template.stop_ids)
        self._texts = TokenTexts(tokenizer)
        self.style = Style.of(template.jinja)
        self.reader = TextReader(model, template, self._weights)
        self.notices: list[Problem] = [*template.notices, *notices]
        self.context = context_length(model)
        self.has_adapter = self._weights.has_main
        self.adapters = self._weights.adapters

    @classmethod
    def load(cls, values: Arguments) -> "Engine":
        """Load model, tokenizer and template. Raises UsageError or ModelError."""
        tokenizer = load.tokenizer(values)
        template = templates.load(values, tokenizer)
        for notice in template.notices:
            logger.warning("%s", notice.text())
        notices = load.base_notices(values)
        model, weights = Weights.load(load.model(values, training=False), values)
        engine = cls(model, tokenizer, template, notices, weights)
        if values.api_max_length is not None:
            engine.context = min(values.api_max_length, engine.context or values.api_max_length)
        return engine

    @property
    def _vocabulary(self) -> int:
        return int(self._model.config.get_text_config().vocab_size)

    @cached_property
    def _grammars(self) -> Grammars:
        return Grammars(self._tokenizer, self._vocabulary, self._end, self._texts.content)

    @cached_property
    def _language(self) -> Language:
        return Language.of(self._template, self._tokenizer, self._grammars.problem)

    def prompt(self, request: GenerationRequest) -> list[int]:
        """The prompt's token ids.

        Raises UsageError where they leave no room for an answer, and where the conversation has
        fields or variables that the template does not read.
        """
        refuse_unread(request.messages, self._template)
        variables = template_variables(request.variables, self._template)
        ids: list[int] = self._template.encode_prompt(request.messages, request.tools, variables)
        self.check_length(ids, "messages")
        return ids

    def encode_text(self, text: str | list[int], field: str, answer: int = 0) -> list[int]:
        """The token ids of a text as it stands, or of ids that are tokens, with the tokenizer's own
        special tokens. Raises UsageError where there are none, or too many for so long an answer.
        """
        ids = self._tokenizer(text)["input_ids"] if isinstance(text, str) else list(text)
        if not ids:
            raise UsageError(Problem(code="prompt_empty", field=field, params={"name": field}))
        self._check_tokens(ids, field)
        self.check_length(ids, field, answer)
        return ids

    def check_length(self, ids: list[int], field: str, answer: int = 1) -> None:
        """Raises UsageError where a prompt leaves no room for so many tokens of an answer."""
        if self.context is not None and len(ids) + answer > self.context:
            params = {"tokens": len(ids), "limit": self.context}
            raise UsageError(Problem(code="prompt_too_long", field=field, params=params))

    @property
    def joins(self) -> bool:
        """Whether answers of this model can be generated together."""
        return answer_cache.joins(self._model)

    def batches(self) -> dict[str | None, Batch]:
        """An empty batch for the answers of each adapter, and one for those of the base (None)."""
        keys = self._weights.keys
        room = answer_cache.room(self._model) // len(keys)
        return {
            key: Batch(self._model, room=room, around=partial(self._weights.use, key))
            for key in keys
        }

    def batch_key(self, request: GenerationRequest) -> str | None:
        """Which of the batches a request belongs to."""
        return self._weights.key(request)

    def begin(self, request: GenerationRequest, show: Show) -> Begun:
        """Begin an answer; its writer hands each piece of text to `show` as soon as it is certain.

        Where the prompt ends with the opening mark of a thought, the mark is the first piece.
        Raises UsageError where the prompt is too long, or a value of the sampling is wrong.
        """
        if request.prompt is None:
            ids = self.prompt(request)
        else:
            ids = self.encode_text(request.prompt, "prompt", bool(request.sampling.max_tokens))
        sampling = request.sampling.within(self.context, len(ids))
        self._check_tokens([token for token, _ in sampling.logit_bias], "logit_bias")
        marks = self.style.marks(calls=bool(request.tools))
        decoder = Decoder(self._tokenizer, sampling.skip_special_tokens, marks)
        if request.prompt is not None:
            self._echo(request, ids, show)
        elif opening := self.style.thought_opening(self._tokenizer.decode(ids[-OPENING:])):
            show(opening)
        stops = StopTexts(sampling.stop)
        writer = Writer(decoder, stops, self._end, request, show, self._texts)
        steps = [*own_steps(sampling, len(ids)), *self._rule_steps(request, ids)]
        return Begun(ids, sampling, writer, steps)

    def _echo(self, request: GenerationRequest, ids: list[int], show: Show) -> None:
        """Show the prompt where the request wants it, and that its first token is no guess."""
        if not request.echo:
            return
        text = request.prompt
        show(text if isinstance(text, str) else self._tokenizer.decode(ids))
        if request.sampling.logprobs is not None:
            show([self._texts.without_logprob(ids[0])])

    def _rule_steps(self, request: GenerationRequest, ids: list[int]) -> list[Any]:
        """What holds the answer to the rule of the request. Raises UsageError where nothing can."""
        if request.rule is None:
            return []
        text = grammar(request.rule, request.tools or (), self._language)
        if text is None:
            return []
        return [self._grammars.hold(text, len(ids), self._possible_thought(ids))]

    def _possible_thought(self, ids: list[int]) -> Thought | None:
        """The thought that may come before an answer that is held to a grammar."""
        if self.style.thought is None:
            return None
        opening, closing = self.style.thought
        end = self._tokenizer.decode(ids[-OPENING:]).rstrip()
        if end.endswith(opening):
            return Thought(None, closing.encode())
        mark = self._tokenizer.encode(opening, add_special_tokens=False)
        may_think = len(mark) == 1 and not end.endswith(closing)
        return Thought(mark[0], closing.encode()) if may_think else None

    def _check_tokens(self, ids: Sequence[int], field: str) -> None:
        """Raises UsageError for a token that the model does not have."""
        for token in ids:
            if not 0 <= token < self._vocabulary:
                last = self._vocabulary - 1
                params: dict[str, str | int] = {"name": field, "token": token, "last": last}
                raise UsageError(Problem(code="unknown_token", field=field, params=params))

    def answer(self, request: GenerationRequest, show: Show) -> Answer:
        """Generate one answer alone, handing its text to `show` as `begin` says.

        The answer ends within one token after `request.cancelled` is set.
        """
        begun = self.begin(request, show)
        if begun.sampling.seed is None:
            torch.seed()
        else:
            torch.manual_seed(begun.sampling.seed)
        with self._weights.use(self._weights.key(request)):
            if begun.writer.wants_prompt:
                self._read_prompt(begun)
            if begun.sampling.max_tokens:
                self._generate(begun)
        return begun.writer.finish(len(begun.ids))

    def _read_prompt(self, begun: Begun) -> None:
        """Tell the log-probabilities of the prompt's tokens."""
        with torch.inference_mode():
            inputs = torch.tensor([begun.ids], device=self._model.device)
            logits = self._model(input_ids=inputs).logits[0]
            for start in range(0, len(begun.ids) - 1, SCORED):
                tokens = begun.ids[start + 1 : start + 1 + SCORED]
                scores = logits[start : start + len(tokens)]
                begun.writer.hear_prompt(
                    token_logprobs(tokens, scores, begun.sampling.logprobs or 0)
                )

    def _generate(self, begun: Begun) -> None:
        inputs = torch.tensor([begun.ids], device=self._model.device)
        config = begun.sampling.config(self._end, pad_id(self._tokenizer, self._end))
        listens = begun.sampling.logprobs is not None
        watch = watch_logits(self._model) if listens else nullcontext()
        with torch.inference_mode(), watch as last:
            self._model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                generation_config=config,
                logits_processor=LogitsProcessorList(begun.steps),
                stopping_criteria=StoppingCriteriaList([_Criterion(begun, last)]),
            )


class _Criterion(StoppingCriteria):
    """Hands the newest token of `generate` to a writer.

    It is a criterion and not a streamer, as the library asks criteria before it gives the token to
    a streamer: a stop text that a streamer sees would cost one more pass through the model.
    """

    def __init__(self, begun: Begun, last: LastLogits | None) -> None:
        self._writer = begun.writer
        self._likeliest = begun.sampling.logprobs
        self._last = last

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Take the newest token of input_ids [1, length]; True ends the answer."""
        token = int(input_ids[0, -1])
        if self._last is not None and self._likeliest is not None:
            self._writer.hear(token_logprobs([token], self._last.logits, self._likeliest))
        done = self._writer.take(token)
        return torch.full((1,), done, dtype=torch.bool, device=input_ids.device)
