"""The engine that generates answers: messages in, pieces of text out, one answer at a time."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from peft import PeftModel
from transformers import StoppingCriteria, StoppingCriteriaList

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import Problem, UsageError
from backend.data import templates
from backend.model import load
from backend.model.generation import Sampling, context_length, end_ids, pad_id
from backend.serving.decoding import Decoder, StopTexts
from backend.serving.generation_request import Answer, GenerationRequest
from backend.serving.reasoning import Style
from backend.serving.template_fields import refuse_unread, template_variables

OPENING = 16  # tokens at the end of a prompt in which the opening mark of a thought may be

Show = Callable[[str], None]

logger = logging.getLogger(__name__)


class Engine:
    """A loaded model with its tokenizer and template. Not thread-safe: one answer at a time."""

    def __init__(
        self, model: Any, tokenizer: Any, template: Any, notices: Sequence[Problem] = ()
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._template = template
        self._end = end_ids(model, tokenizer, template.stop_ids)
        self.style = Style.of(template.jinja)
        self.notices: list[Problem] = [*template.notices, *notices]
        self.context = context_length(model)
        self.has_adapter = isinstance(model, PeftModel)

    @classmethod
    def load(cls, values: Arguments) -> "Engine":
        """Load model, tokenizer and template. Raises UsageError or ModelError."""
        tokenizer = load.tokenizer(values)
        template = templates.load(values, tokenizer)
        for notice in template.notices:
            logger.warning("%s", notice.text())
        notices = load.base_notices(values)
        return cls(load.model(values, training=False), tokenizer, template, notices)

    def prompt(self, request: GenerationRequest) -> list[int]:
        """The prompt's token ids.

        Raises UsageError where they leave no room for an answer, and where the conversation has
        fields or variables that the template does not read.
        """
        refuse_unread(request.messages, self._template)
        variables = template_variables(request.variables, self._template)
        ids: list[int] = self._template.encode_prompt(request.messages, request.tools, variables)
        if self.context is not None and len(ids) >= self.context:
            params = {"tokens": len(ids), "limit": self.context}
            raise UsageError(Problem(code="prompt_too_long", field="messages", params=params))
        return ids

    def answer(self, request: GenerationRequest, show: Show) -> Answer:
        """Generate one answer, handing each piece of text to `show` as soon as it is certain.

        Where the prompt ends with the opening mark of a thought, the mark is the first piece. The
        answer ends within one token after `request.cancelled` is set. Raises UsageError where the
        prompt is too long.
        """
        ids = self.prompt(request)
        sampling = request.sampling.within(self.context, len(ids))
        marks = self.style.marks(calls=bool(request.tools))
        writer = _Writer(
            Decoder(self._tokenizer, sampling.skip_special_tokens, marks),
            StopTexts(sampling.stop),
            self._end,
            request,
            show,
        )
        if opening := self.style.thought_opening(self._tokenizer.decode(ids[-OPENING:])):
            show(opening)
        if sampling.seed is None:
            torch.seed()
        else:
            torch.manual_seed(sampling.seed)
        adapter_off = self.has_adapter and not request.tuned
        with self._model.disable_adapter() if adapter_off else nullcontext():
            self._generate(ids, sampling, writer)
        finish = "cancelled" if request.cancelled.is_set() else "stop" if writer.ended else "length"
        return Answer(prompt_tokens=len(ids), completion_tokens=writer.count, finish=finish)

    def _generate(self, ids: list[int], sampling: Sampling, writer: "_Writer") -> None:
        inputs = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode():
            self._model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                generation_config=sampling.config(self._end, pad_id(self._tokenizer, self._end)),
                stopping_criteria=StoppingCriteriaList([writer]),
            )
        writer.finish()


class _Writer(StoppingCriteria):
    """Shows the text of each new token, and decides whether the answer ends with it.

    It is a criterion and not a streamer, as the library asks criteria before it gives the token to
    a streamer: a stop text that a streamer sees would cost one more pass through the model.
    """

    def __init__(
        self,
        decoder: Decoder,
        stops: StopTexts,
        end: tuple[int, ...],
        request: GenerationRequest,
        show: Show,
    ) -> None:
        self._decoder = decoder
        self._stops = stops
        self._end = frozenset(end)
        self._cancelled = request.cancelled
        self._show = show
        self.count = 0
        self.ended = False

    def __call__(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Take the newest token of input_ids [1, length]; True ends the answer."""
        if not self.ended:
            self._take(int(input_ids[0, -1]))
        done = self.ended or self._cancelled.is_set()
        return torch.full((1,), done, dtype=torch.bool, device=input_ids.device)

    def finish(self) -> None:
        """Show the held-back text."""
        if not self._stops.is_ended:
            self._emit(self._stops.add(self._decoder.rest()) + self._stops.rest())
            self.ended = self.ended or self._stops.is_ended

    def _take(self, token: int) -> None:
        self.count += 1
        if token in self._end:
            self.ended = True
            return
        self._emit(self._stops.add(self._decoder.add(token)))
        self.ended = self._stops.is_ended

    def _emit(self, text: str) -> None:
        if text and not self._cancelled.is_set():
            self._show(text)
