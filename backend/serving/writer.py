"""The text of one answer as its tokens come: shown as soon as it is certain, ended by a stop."""

from collections import deque
from collections.abc import Callable, Sequence

from backend.model.generation import TokenLogprob
from backend.serving.decoding import Decoder, StopTexts
from backend.serving.generation_request import Answer, GenerationRequest, Shown
from backend.serving.token_texts import Logprob, TokenTexts

Show = Callable[[Shown], None]


class Writer:
    """Shows the text of each new token, and decides whether the answer ends with it.

    Where log-probabilities are heard, those of the tokens of a piece of text are shown before it;
    the tokens that are cut off with a stop text have none, nor has the end of an answer in a
    conversation.
    """

    def __init__(
        self,
        decoder: Decoder,
        stops: StopTexts,
        end: tuple[int, ...],
        request: GenerationRequest,
        show: Show,
        texts: TokenTexts,
    ) -> None:
        self._decoder = decoder
        self._stops = stops
        self._end = frozenset(end)
        self._cancelled = request.cancelled
        self._tells_end = request.prompt is not None
        self.wants_prompt = request.echo and request.sampling.logprobs is not None
        self._show = show
        self._count = 0
        self._ended = False
        self._texts = texts
        self._heard: deque[tuple[int, Logprob]] = deque()  # with the place in the text
        self._decoded = 0  # characters
        self._shown = 0

    def hear(self, logprobs: Sequence[TokenLogprob]) -> None:
        """Take the log-probabilities of the tokens that `take` is handed next."""
        for each in logprobs:
            if not self._ended and (self._tells_end or each.token not in self._end):
                self._heard.append((self._decoded, self._texts.name(each)))

    def hear_prompt(self, logprobs: Sequence[TokenLogprob]) -> None:
        """Show the log-probabilities of the prompt's next tokens."""
        self._show([self._texts.name(each) for each in logprobs])

    def take(self, token: int) -> bool:
        """Take the newest token; returns whether the answer ends with it."""
        if not self._ended:
            self._count += 1
            if token in self._end:
                self._ended = True
            else:
                self._add(self._decoder.add(token))
                self._ended = self._stops.is_ended
        return self._ended or self._cancelled.is_set()

    def finish(self, prompt_tokens: int) -> Answer:
        """Show the held-back text; gives the counts of the answer and why it ended."""
        if not self._stops.is_ended:
            self._add(self._decoder.rest())
            self._emit(self._stops.rest())
            self._ended = self._ended or self._stops.is_ended
        if not self._stops.is_ended:
            self._tell(self._decoded + 1)
        finish = "cancelled" if self._cancelled.is_set() else "stop" if self._ended else "length"
        return Answer(prompt_tokens=prompt_tokens, completion_tokens=self._count, finish=finish)

    def _add(self, text: str) -> None:
        self._decoded += len(text)
        self._emit(self._stops.add(text))

    def _emit(self, text: str) -> None:
        if text and not self._cancelled.is_set():
            self._shown += len(text)
            self._tell(self._shown)
            self._show(text)

    def _tell(self, until: int) -> None:
        """Show the log-probabilities of the tokens whose text begins before this place."""
        logprobs = []
        while self._heard and self._heard[0][0] < until:
            logprobs.append(self._heard.popleft()[1])
        if logprobs:
            self._show(logprobs)
