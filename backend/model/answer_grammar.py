"""Answers that are held to a grammar: tokens that would break it are ruled out."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from backend.contract.texts.problems import Problem, UsageError

FIELD = "response_format"

logger = logging.getLogger(__name__)


class Thought(NamedTuple):
    """A thought before the answer, which is free text until the mark that ends it.

    opening  the token that begins it; None where the prompt has begun it already
    """

    opening: int | None
    closing: bytes


class Grammars:
    """The grammars of one tokenizer, by the library llguidance.

    `content` gives the bytes of a token; `end` are the ids that end an answer.
    """

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: int,
        end: Sequence[int],
        content: Callable[[int], bytes],
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = max(vocabulary, len(tokenizer))
        self.end = tuple(end)
        self.content = content
        self._vocabulary_tree: Any = None

    def problem(self, grammar: str) -> str:
        """Why a grammar cannot be used, in the library's words; "" where it can."""
        tree = self._tree()  # before the import: it says what is missing
        from llguidance import LLMatcher

        failed, messages = LLMatcher.validate_grammar_with_warnings(grammar, tree)
        return "; ".join(messages) if failed else ""

    def hold(self, grammar: str, prompt: int, thought: Thought | None) -> LogitsProcessor:
        """The step that holds an answer behind so many tokens to a grammar that can be used."""
        tree = self._tree()
        from llguidance import LLMatcher

        return _Held(LLMatcher(tree, grammar, log_level=0), self, prompt, thought)

    def tokens_of(self, content: bytes) -> list[int]:
        """Some tokens that stand for these bytes."""
        tokens: list[int] = self._tree().tokenize_bytes(content)
        return tokens

    def _tree(self) -> Any:
        """The vocabulary as the library wants it; made once, which takes a second.

        Raises UsageError where the library is missing or cannot read the tokenizer.
        """
        if self._vocabulary_tree is None:
            try:
                import llguidance.hf
            except ImportError as error:
                params = {"field": FIELD, "package": "llguidance"}
                problem = Problem(code="package_missing", field=FIELD, params=params)
                raise UsageError(problem) from error
            if not isinstance(self._tokenizer, PreTrainedTokenizerFast):
                raise UsageError(Problem(code="grammar_slow_tokenizer", field=FIELD))
            self._vocabulary_tree = llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self._vocabulary, eos_token=list(self.end)
            )
        return self._vocabulary_tree


class _Held(LogitsProcessor):
    """Rules out the tokens with which an answer could not go on; one that is whole must end.

    Before a thought has ended, only the end of the answer is ruled out.
    """

    def __init__(
        self, matcher: Any, grammars: Grammars, prompt: int, thought: Thought | None
    ) -> None:
        self._matcher = matcher
        self._grammars = grammars
        self._end = list(grammars.end)
        self._read = prompt
        self._opening = thought.opening if thought else None  # None once the answer has begun
        self._closing = thought.closing if thought else b""
        self._thinks = thought is not None and thought.opening is None
        self._thought = b""

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores [1, vocabulary] with -inf for every token that is ruled out."""
        for token in input_ids[0, self._read :].tolist():
            self._take(token)
        self._read = input_ids.shape[1]
        if self._thinks:
            scores = scores.clone()
            scores[0, self._end] = -torch.inf
            return scores
        return scores.masked_fill(
            ~self._possible_tokens(scores.shape[-1]).to(scores.device), -torch.inf
        )

    def _possible_tokens(self, count: int) -> torch.Tensor:
        """Which of so many tokens may come next."""
        allowed = torch.zeros(count, dtype=torch.bool)
        listed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        allowed[: len(listed)] = listed[:count] != 0
        if self._matcher.is_error():  # too much for the library: the answer cannot go on
            logger.warning("an answer ends early: %s", self._matcher.get_error())
            allowed.zero_()
            allowed[self._end] = True
        elif self._opening is not None:
            allowed[self._opening] = True
        return allowed

    def _take(self, token: int) -> None:
        if self._thinks:
            self._think(self._grammars.content(token))
        elif token == self._opening:
            self._thinks = True
        else:
            self._matcher.consume_token(token)
        self._opening = None

    def _think(self, content: bytes) -> None:
        """Take a part of the thought; what stands behind it in the same token is of the answer."""
        self._thought += content
        _, mark, rest = self._thought.partition(self._closing)
        if mark:
            self._thinks = False
            self._matcher.consume_tokens(self._grammars.tokens_of(rest))
