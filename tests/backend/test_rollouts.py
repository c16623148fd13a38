"""Answers that PPO draws: what is said of each in a batch is what it gets alone."""

from pathlib import Path

import torch

from backend.model import load, value_head
from backend.training import rollouts
from tests.backend.test_stage_ppo import SMALL
from tests.backend.training import small


def test_answers_are_read_as_they_were_drawn(workspace: Path, tiny_model_dir: Path) -> None:
    """Batches of prompts of unlike length: what is said of an answer is what it gets alone."""
    values = small(tiny_model_dir, **{**SMALL, "reward_model": "x"})
    tokenizer = load.tokenizer(values)
    net = load.model(values, training=True)
    net = value_head.attach(net, load.last_folder(values), random=True)
    prompts = [[5, 6, 7, 8, 9, 10], [20], [30, 31, 32]]
    torch.manual_seed(0)
    ends = list(range(200))  # every second token ends an answer
    answers = rollouts.generate(net, tokenizer, prompts, values, ends)
    assert len({len(one) for one in answers}) > 1
    for one in answers:
        assert not any(token in ends for token in one[:-1])
        assert one[-1] in ends or len(one) == 8
    read = rollouts.forward(net, prompts, answers, 0.7)
    assert torch.allclose(read.logprobs, rollouts.logprobs(net, prompts, answers, 0.7))
    assert net.training
    for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        output = net(input_ids=torch.tensor([prompt + answer]), output_hidden_states=True)
        before = slice(len(prompt) - 1, -1)
        likely = (output.logits[0, before] / 0.7).log_softmax(-1)
        wanted = likely[range(len(answer)), answer]
        size = len(answer)
        assert torch.allclose(read.logprobs[place, :size], wanted, atol=1e-5)
        assert not read.logprobs[place, size:].any()
        states = output.hidden_states[-1][0, before]
        assert torch.allclose(read.values[place, :size], net.value_head(states), atol=1e-5)
        entropy = -(likely.exp() * likely).sum(-1)
        assert torch.allclose(read.entropy[place, :size], entropy, atol=1e-4)
