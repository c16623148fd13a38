"""Reward models that score whole answers: on the shared base, beside it, or on a server.

lora   its adapter stands beside the policy's on one base model and takes its place for a moment
full   a frozen model of its own (also where the policy has no adapter: its base learns)
api    a server: POST {"model": "model", "messages": [text, ...]} gives {"scores": [number, ...]},
       one text (question and answer with all special tokens) a score, as LLaMA-Factory's own
       server and its PPO have it
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any, Protocol

import torch
from torch import Tensor

from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.models.model_folder import ADAPTER_CONFIG
from backend.contract.preflight import rewards
from backend.contract.preflight.rewards import REWARD_MODEL
from backend.contract.system.addresses import redact
from backend.contract.texts.problems import Problem, TuneboardError, UsageError
from backend.model import adapters, value_head, vocabulary
from backend.model import load as models
from backend.model.reference import OtherModel, evaluation_mode
from backend.model.value_head import ValueHead
from backend.training import http_requests
from backend.training.batches import Collator

Ids = Sequence[list[int]]

POLICY, REWARD = "default", "reward"  # peft's names of the adapters on one base
OTHER = OtherModel(
    REWARD_MODEL, "reward_model_adapters", "reward_model_quantization_bit", rest=REWARD_MODEL
)


class Scorer(Protocol):
    """Scores whole texts (token ids of question and answer), read at their last token."""

    def __call__(self, ids: Ids) -> Tensor:
        """float32 [n], on the CPU."""


def load(values: Arguments, model: Any, tokenizer: Any) -> Scorer:
    """The reward model that the arguments name; `model` is the policy, not wrapped.

    Raises UsageError or ModelError where it cannot be loaded or does not fit the policy.
    """
    if values.reward_model_type == "api":
        return ServerScorer(str(values.reward_model), tokenizer)
    size = values.per_device_train_batch_size
    if rewards.is_shared(values):
        return SharedScorer(values, model, size)
    return ModelScorer(values, model, tokenizer, size)


def base_notices(values: Arguments) -> list[Problem]:
    """A notice for each adapter of the reward model that was trained on something else."""
    if not rewards.is_needed(values) or values.reward_model_type == "api":
        return []
    if rewards.is_shared(values):
        folder = models.last_folder(values.replace(adapter_name_or_path=values.reward_model))
        if not (folder / ADAPTER_CONFIG).is_file():
            return []
        before = adapters.adapters_to_merge(models.adapter_folders(values), values)
        base, name = models.base_folder(values), models.base_name(values)
        stack = model_folder.notices(base, name, [*before, folder])
        notices = [each for each in stack if each.params["adapter"] == str(folder)]
    else:
        notices = models.base_notices(OTHER.loading_arguments(values))
    return [dataclasses.replace(problem, field=REWARD_MODEL) for problem in notices]


class ModelScorer:
    """A frozen reward model of its own."""

    def __init__(self, values: Arguments, policy: Any, tokenizer: Any, size: int) -> None:
        arguments = OTHER.loading_arguments(values)
        with OTHER.redirect_problems():
            vocab = models.tokenizer(arguments).get_vocab()
        differing = vocabulary.difference(tokenizer.get_vocab(), vocab)
        if differing:
            params = {"path": str(values.reward_model), **differing}
            raise UsageError(
                Problem(code="reward_other_tokenizer", field=REWARD_MODEL, params=params)
            )
        self.model = OTHER.freeze(OTHER.load(values), values, policy.device)
        with OTHER.redirect_problems():
            self.head = value_head.read(self.model, models.last_folder(arguments), REWARD_MODEL)
        self.size = size

    def __call__(self, ids: Ids) -> Tensor:
        """See Scorer."""
        with torch.no_grad():
            return _scores(self.model, self.head, ids, self.size)


class SharedScorer:
    """A reward adapter beside the policy's own, on one base model."""

    def __init__(self, values: Arguments, policy: Any, size: int) -> None:
        with OTHER.redirect_problems():
            arguments = values.replace(adapter_name_or_path=values.reward_model)
            folder = models.last_folder(arguments)
            problems = rewards.check_shared(values, folder)
            if problems:
                raise UsageError(*problems)
            adapters.attach_beside(policy, folder, REWARD)
            self.head = value_head.read(policy, folder, REWARD_MODEL)
        self.model = policy
        self.size = size

    def __call__(self, ids: Ids) -> Tensor:
        """See Scorer."""
        with self._use_reward_adapter():
            return _scores(self.model, self.head, ids, self.size)

    @contextmanager
    def _use_reward_adapter(self) -> Iterator[None]:
        """Within the block, the reward adapter is active instead of the policy's."""
        with evaluation_mode(self.model):
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
        texts = self.tokenizer.batch_decode(
            [list(text_ids) for text_ids in ids], skip_special_tokens=False
        )
        try:
            response = http_requests.post(self.address, {"model": "model", "messages": texts})
        except http_requests.RequestError as error:
            params = {"url": redact(self.address), "reason": str(error)}
            raise TuneboardError(
                Problem(code="reward_api_failed", field=REWARD_MODEL, params=params)
            ) from error
        try:
            content = response.json()
        except ValueError:
            content = response.text
        scores = content.get("scores") if isinstance(content, dict) else None
        if not isinstance(scores, list) or len(scores) != len(texts):
            raise self._response_error(content, len(texts))
        if not all(isinstance(text_ids, Real) and math.isfinite(text_ids) for text_ids in scores):
            raise self._response_error(scores, len(texts))
        return torch.tensor(scores, dtype=torch.float32)

    def _response_error(self, content: Any, wanted: int) -> TuneboardError:
        url, reason = redact(self.address), repr(content)[:120]
        params: dict[str, str | int] = {"url": url, "reason": reason, "wanted": wanted}
        return TuneboardError(Problem(code="reward_api_wrong", field=REWARD_MODEL, params=params))


def _scores(model: Any, head: ValueHead, ids: Ids, size: int) -> Tensor:
    """One score a text, float32 [n] on the CPU; `size` texts at a time."""
    scores = []
    for start in range(0, len(ids), size):
        rows = [
            {"input_ids": list(text_ids), "labels": list(text_ids)}
            for text_ids in ids[start : start + size]
        ]
        batch = Collator(0)(rows)
        mask = batch["attention_mask"].to(model.device)
        input_ids = batch["input_ids"].to(model.device)
        scores.append(value_head.values_at(model, head, input_ids, mask, mask.sum(1) - 1).cpu())
    return torch.cat(scores)
