"""Sampling values of an answer, and the GenerationConfig of transformers from them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from backend.contract.arguments.typed import Arguments

if TYPE_CHECKING:  # the server answers before the library is loaded
    from transformers import GenerationConfig

Model = Any
Tokenizer = Any


class TokenLogprob(NamedTuple):
    """A token's id with its log-probability by the model alone, before penalties and temperature;
    `likeliest` are (token id, log-probability) of the likeliest tokens at its place."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The sampling values of one answer.

    Temperature 0 or top_p 0 is greedy. top_k 0 keeps every token. min_p keeps tokens whose
    probability is at least this share of the likeliest token's. `stop` are texts that end the
    answer and are never shown. `seed` None draws differently each time.

    frequency_penalty  taken from the score of a token for each time that the answer has it already
    presence_penalty   taken from the score of every token that the answer has already
    logit_bias         (token id, what is added to its score)
    logprobs           how many of the likeliest tokens are told with each token of the answer,
                       beside its own log-probability; None tells no log-probabilities
    """

    max_tokens: int = 1024
    temperature: float = 0.95
    top_p: float = 0.7
    top_k: int = 50
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    skip_special_tokens: bool = True

    @classmethod
    def of(cls, values: Arguments) -> "Sampling":
        """The sampling values in the arguments of eval, chat or api."""
        return cls(
            max_tokens=values.max_new_tokens,
            temperature=values.temperature if values.do_sample else 0.0,
            top_p=values.top_p,
            top_k=values.top_k,
            repetition_penalty=values.repetition_penalty,
            skip_special_tokens=values.skip_special_tokens,
        )

    def within(self, context: int | None, prompt: int) -> "Sampling":
        """A copy whose max_tokens fits into `context` tokens together with `prompt` tokens."""
        if context is None:
            return self
        return replace(self, max_tokens=min(self.max_tokens, max(1, context - prompt)))

    def with_seed(self, number: int) -> "Sampling":
        """A copy for one of several answers to the same text: a seed counts up, so they differ."""
        return self if self.seed is None else replace(self, seed=self.seed + number)

    def config(self, end: tuple[int, ...], pad: int, **more: Any) -> "GenerationConfig":
        """The configuration for model.generate; `end` are the token ids that end an answer."""
        from transformers import GenerationConfig

        draws = self.temperature > 0 and self.top_p > 0
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        if self.min_p > 0:
            drawn["min_p"] = self.min_p
        return GenerationConfig(
            do_sample=draws,
            max_new_tokens=self.max_tokens,
            repetition_penalty=self.repetition_penalty,
            eos_token_id=list(end) or None,
            pad_token_id=pad,
            use_cache=True,
            # with other values than its defaults the library warns that greedy ignores them
            **(drawn if draws else {"temperature": 1.0, "top_p": 1.0, "top_k": 50}),
            **more,
        )


def end_ids(model: Model, tokenizer: Tokenizer, template_ids: tuple[int, ...]) -> tuple[int, ...]:
    """The token ids that end an answer: the template's, the tokenizer's and the model's."""
    own = getattr(model.generation_config, "eos_token_id", None)
    listed = own if isinstance(own, list | tuple) else [own]
    ids = [*template_ids, tokenizer.eos_token_id, *listed]
    return tuple(dict.fromkeys(int(token) for token in ids if token is not None))


def pad_id(tokenizer: Tokenizer, end: tuple[int, ...]) -> int:
    """The id that pads short rows: the tokenizer's, else an end id (it is masked anyway)."""
    return int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else (end or (0,))[0]


def context_length(model: Model) -> int | None:
    """The context length of the model in tokens, prompt and answer; None where unknown."""
    config = model.config.get_text_config()
    length = getattr(config, "max_position_embeddings", None)
    return int(length) if isinstance(length, int) and length > 0 else None
