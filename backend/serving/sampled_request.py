"""What all requests for an answer share: how it is drawn, where it ends, and reading the body."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import from_json

from backend.model.generation import Sampling
from backend.serving.messages import StrictModel
from backend.serving.protocol import ApiError, Json

MAX_STOPS = 16
MAX_LIKELIEST = 20  # as OpenAI allows
# Fields about the request and not about the answer: they are accepted without effect.
ACCEPTED = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
OLD = ("functions", "function_call")  # what tools and tool_choice were before

Model = TypeVar("Model", bound=StrictModel)


def as_list(texts: Any) -> Any:
    """One text as a list of texts."""
    return [texts] if isinstance(texts, str) else texts


class StreamOptions(StrictModel):
    """Whether the last chunk of a stream has the token counts; chunks are never padded."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class SampledRequest(StrictModel):
    """The fields of a request that say how its answer is drawn, and where it ends."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = Field(default=1, ge=1)
    stop: Annotated[list[str], BeforeValidator(as_list)] = Field(default=[])
    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] = Field(default={})

    def stops(self) -> tuple[str, ...]:
        """The stop texts without empty ones. Raises ApiError (400) for too many."""
        if len(self.stop) > MAX_STOPS:
            raise ApiError(400, "too_many_stops", "stop", limit=MAX_STOPS)
        return tuple(text for text in self.stop if text)

    def common_sampling(self, standard: Sampling) -> Sampling:
        """The sampling by these fields, with values of `standard` where they have none."""
        fields = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            # torch's generator takes 64 bits; any other integer is folded into them
            "seed": None if self.seed is None else self.seed % 2**63,
        }
        changes: Any = {name: value for name, value in fields.items() if value is not None}
        return replace(
            standard,
            stop=self.stops(),
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            logit_bias=tuple(self.logit_bias.items()),
            **changes,
        )


def read_object(
    body: bytes, accepted: Collection[str], neutral: Mapping[str, tuple[object, ...]]
) -> Json:
    """The JSON object in a body, without the fields in `accepted`, which have no effect, and those
    in `neutral` with a value that changes nothing. Raises ApiError (400) for other values."""
    try:
        # stricter than json.loads: no NaN, no half surrogates, no endless nesting
        raw = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise ApiError(400, "bad_json") from None
    if not isinstance(raw, dict):
        raise ApiError(400, "bad_json")
    raw = {name: value for name, value in raw.items() if name not in accepted}
    for name, values in neutral.items():
        value = raw.pop(name, None)
        if value is not None and value not in values:
            code = "use_tools" if name in OLD else "unsupported_parameter"
            raise ApiError(400, code, name, name=name)
    return raw


def validate(model: type[Model], raw: Json) -> Model:
    """Raises ApiError (400) with the place of the first error."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        if first["type"] == "extra_forbidden":
            raise ApiError(400, "unknown_parameter", place, name=place) from None
        raise ApiError(400, "bad_parameter", place, name=place, reason=first["msg"]) from None
