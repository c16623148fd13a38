"""What scores whole answers: a reward model on the shared base, beside it, or on a server.

lora   its adapter stands beside the policy's on one base model and takes its place for a moment
full   a frozen model of its own (also where the policy has no adapter: its base learns)
api    a server: POST {"model": "model", "messages": [text, ...]} gives {"scores": [number, ...]},
       one text (question and answer with all special tokens) a score, as LLaMA-Factory's own
       server and its PPO have it
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any, Protocol

import httpx
import torch
from torch import Tensor

from backend.contract import adapter_base, reward_model
from backend.contract.field import Value
from backend.contract.model_folder import ADAPTER_CONFIG
from backend.contract.problems import ModelError, Problem, TuneboardError, UsageError
from backend.contract.reward_model import FIELD
from backend.model import adapters, value_head
from backend.model import load as models
from backend.model.device import training_precision
from backend.model.reference import still
from backend.model.value_head import ValueHead
from backend.training import asking
from backend.training.batches import Collator

Values = Mapping[str, Value]
Ids = Sequence[list[int]]

POLICY, REWARD = "default", "reward"  # peft's names of the adapters on one base
# Arguments that describe the reward model -> what they stand for in loading.
OTHER = {
    "reward_model": "model_name_or_path",
    "reward_model_adapters": "adapter_name_or_path",
    "reward_model_quantization_bit": "quantization_bit",
}


class Scorer(Protocol):
    """Scores whole texts (token ids of question and answer), read at their last token."""

    def __call__(self, ids: Ids) -> Tensor:
        """float32 [n], on the CPU."""


def load(values: Values, model: Any, tokenizer: Any) -> Scorer:
    """The reward model that the arguments name; `model` is the policy, not wrapped.

    Raises UsageError or ModelError where it cannot be loaded or does not fit the policy.
    """
    if values.get("reward_model_type") == "api":
        return ServerScorer(str(values["reward_model"]), tokenizer)
    size = int(values.get("per_device_train_batch_size") or 1)
    if reward_model.is_shared(values):
        return SharedScorer(values, model, size)
    return ModelScorer(values, model, tokenizer, size)


def base_notices(values: Values) -> list[Problem]:
    """A notice for each adapter of the reward model that was trained on something else."""
    if not reward_model.needed(values) or values.get("reward_model_type") == "api":
        return []
    if reward_model.is_shared(values):
        folder = models.last_folder({**values, "adapter_name_or_path": values.get("reward_model")})
        if not (folder / ADAPTER_CONFIG).is_file():
            return []
        before = adapters.merged(models.adapter_folders(values), values)
        base, name = models.base_folder(values), models.base_name(values)
        stack = adapter_base.notices(base, name, [*before, folder])
        found = [each for each in stack if each.params["adapter"] == str(folder)]
    else:
        found = models.base_notices(_described(values))
    return [dataclasses.replace(problem, field=FIELD) for problem in found]


def _described(values: Values) -> Values:
    """The reward model as arguments of loading."""
    return {**values, **{name: values.get(source) for source, name in OTHER.items()}}


class ModelScorer:
    """A frozen reward model of its own."""

    def __init__(self, values: Values, policy: Any, tokenizer: Any, size: int) -> None:
        given = _described(values)
        with _about_reward_model():
            if models.tokenizer(given).get_vocab() != tokenizer.get_vocab():
                params = {"path": str(values["reward_model"])}
                raise UsageError(Problem(code="reward_other_tokenizer", field=FIELD, params=params))
            base = models.base_model(given, dtype=training_precision(values).frozen)
            model = adapters.apply(base, models.adapter_folders(given))
            model = model if models.quantized(given) else model.to(policy.device)
            self.model = model.requires_grad_(requires_grad=False).eval()
            self.head = value_head.read(self.model, models.last_folder(given), FIELD)
        self.size = size

    def __call__(self, ids: Ids) -> Tensor:
        """See Scorer."""
        with torch.no_grad():
            return _scores(self.model, self.head, ids, self.size)


class SharedScorer:
    """A reward adapter beside the policy's own, on one base model."""

    def __init__(self, values: Values, policy: Any, size: int) -> None:
        with _about_reward_model():
            given = {**values, "adapter_name_or_path": values.get("reward_model")}
            folder = models.last_folder(given)
            problems = reward_model.check_shared(values, folder)
            if problems:
                raise UsageError(*problems)
            adapters.attach_beside(policy, folder, REWARD)
            self.head = value_head.read(policy, folder, FIELD)
        self.model = policy
        self.size = size

    def __call__(self, ids: Ids) -> Tensor:
        """See Scorer."""
        with self._judging():
            return _scores(self.model, self.head, ids, self.size)

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """Within, the model is the reward model."""
        with still(self.model):
            self.model.set_adapter(REWARD)
            try:
                yield
            finally:
                self.model.set_adapter(POLICY)  # only what is active requires gradients


class ServerScorer:
    """A server that scores texts. Raises TuneboardError where it does not answer as it should."""

    def __init__(self, address: str, tokenizer: Any) -> None:
        self.address = address
        self.tokenizer = tokenizer

    def __call__(self, ids: Ids) -> Tensor:
        """See Scorer."""
        texts = self.tokenizer.batch_decode([list(one) for one in ids], skip_special_tokens=False)
        try:
            reply = asking.post(self.address, {"model": "model", "messages": texts})
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        try:
            content = reply.json()
        except ValueError:
            content = reply.text
        scores = content.get("scores") if isinstance(content, dict) else None
        if not isinstance(scores, list) or len(scores) != len(texts):
            raise self._wrong(content, len(texts))
        if not all(isinstance(one, Real) and math.isfinite(one) for one in scores):
            raise self._wrong(scores, len(texts))
        return torch.tensor(scores, dtype=torch.float32)

    def _failed(self, error: httpx.HTTPError) -> TuneboardError:
        reason = asking.reason(error)
        params = {"url": reward_model.shown(self.address), "reason": reason}
        return TuneboardError(Problem(code="reward_api_failed", field=FIELD, params=params))

    def _wrong(self, content: Any, wanted: int) -> TuneboardError:
        url, reason = reward_model.shown(self.address), repr(content)[:120]
        params: dict[str, str | int] = {"url": url, "reason": reason, "wanted": wanted}
        return TuneboardError(Problem(code="reward_api_wrong", field=FIELD, params=params))


def _scores(model: Any, head: ValueHead, ids: Ids, size: int) -> Tensor:
    """One score a text, float32 [n] on the CPU; `size` texts at a time."""
    found = []
    for start in range(0, len(ids), size):
        rows = [{"input_ids": list(one), "labels": list(one)} for one in ids[start : start + size]]
        batch = Collator(0)(rows)
        mask = batch["attention_mask"].to(model.device)
        given = batch["input_ids"].to(model.device)
        found.append(value_head.at_ends(model, head, given, mask, mask.sum(1) - 1).cpu())
    return torch.cat(found)


@contextmanager
def _about_reward_model() -> Iterator[None]:
    """Within, what is wrong with a model is told about the argument that named the reward model."""
    try:
        yield
    except ModelError as error:
        raise ModelError(*(_renamed(problem) for problem in error.problems)) from error


def _renamed(problem: Problem) -> Problem:
    named = {name: source for source, name in OTHER.items()}
    field = named.get(problem.field, FIELD)
    return Problem(code=problem.code, field=field, params=problem.params)
