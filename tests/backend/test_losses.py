"""Losses against numbers worked out by hand, and that each reaches a run's gradient."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.contract.arguments.arguments import resolve
from backend.contract.runs import metrics
from backend.contract.texts.problems import ModelError
from backend.model import load
from backend.training import token_loss
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.training import ROWS, small, train_small

# Three tokens; the odds of the vocabulary are 4:1:1, 1:1:2 and 1:1:1, the targets 0, 1 and 2.
LOGITS = torch.tensor([[4.0, 1.0, 1.0], [1.0, 1.0, 2.0], [1.0, 1.0, 1.0]]).log()
TARGETS = torch.tensor([0, 1, 2])
P = torch.tensor([4 / 6, 1 / 4, 1 / 3])


def test_cross_entropy_by_hand() -> None:
    assert torch.allclose(token_loss.cross_entropy(LOGITS, TARGETS), -P.log())


def test_label_smoothing_by_hand() -> None:
    """A share of 0.3 goes evenly to all three tokens: 0.8 to the target, 0.1 to each other."""
    result = token_loss.cross_entropy(LOGITS, TARGETS, smoothing=0.3)
    first = -(0.8 * math.log(4 / 6) + 0.2 * math.log(1 / 6))
    second = -(0.8 * math.log(1 / 4) + 0.1 * math.log(1 / 4) + 0.1 * math.log(2 / 4))
    assert torch.allclose(result, torch.tensor([first, second, math.log(3)]))


def test_dft_by_hand() -> None:
    """-p log p, and the gradient is that of -log p, scaled by p as if that were a constant."""
    logits = LOGITS.clone().requires_grad_()
    result = token_loss.dft(logits, TARGETS)
    assert torch.allclose(result, -P * P.log())
    result[0].backward()
    # d(-log p0)/d logits = softmax - target = (-1/3, 1/6, 1/6), times p0 = 2/3
    assert torch.allclose(logits.grad[0], torch.tensor([-2 / 9, 1 / 9, 1 / 9]))


def test_eaft_by_hand() -> None:
    """Three tokens at the most: entropies over ln 3, as weights without a gradient."""
    logits = LOGITS.clone().requires_grad_()
    result = token_loss.eaft(logits, TARGETS)
    first = -(4 / 6 * math.log(4 / 6) + 2 / 6 * math.log(1 / 6)) / math.log(3)
    second = -(1 / 2 * math.log(1 / 4) + 1 / 2 * math.log(1 / 2)) / math.log(3)
    weights = torch.tensor([first, second, 1.0])
    assert torch.allclose(result, -weights * P.log(), atol=1e-6)
    result[0].backward()
    expected = first * torch.tensor([-1 / 3, 1 / 6, 1 / 6])
    assert torch.allclose(logits.grad[0], expected, atol=1e-6)
    assert torch.allclose(token_loss.eaft(LOGITS, TARGETS, 2.0), -(weights**2) * P.log(), atol=1e-6)
    assert torch.allclose(token_loss.eaft(LOGITS, TARGETS, 0.0), -P.log(), atol=1e-6)


def test_eaft_looks_at_the_twenty_most_likely() -> None:
    """Even among those the entropy is ln 20, whatever lies below: the weight is 1."""
    logits = torch.full((1, 50), -4.0)
    logits[0, :20] = 2.0
    plain = token_loss.cross_entropy(logits, torch.tensor([3]))
    assert torch.allclose(token_loss.eaft(logits, torch.tensor([3])), plain, atol=1e-5)


def test_kl_by_hand() -> None:
    """From the reference to the model: sum of q (log q - log p)."""
    reference = torch.tensor([[2.0, 1.0, 1.0]]).log()
    expected = 0.5 * math.log(0.5 / (4 / 6)) + 0.5 * math.log(0.25 / (1 / 6))
    assert token_loss.kl(reference, LOGITS[:1]).item() == pytest.approx(expected, abs=1e-6)
    assert token_loss.kl(LOGITS, LOGITS).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, token_loss.cross_entropy(LOGITS, TARGETS)),
        ({"use_dft_loss": True}, token_loss.dft(LOGITS, TARGETS)),
        ({"use_asft_loss": True}, token_loss.dft(LOGITS, TARGETS)),
        ({"use_eaft_loss": True, "eaft_alpha": 3.0}, token_loss.eaft(LOGITS, TARGETS, 3.0)),
        ({"label_smoothing_factor": 0.2}, token_loss.cross_entropy(LOGITS, TARGETS, 0.2)),
    ],
    ids=str,
)
def test_the_arguments_choose(options: dict[str, Any], expected: torch.Tensor) -> None:
    assert torch.equal(token_loss.choose_loss(resolve(options))(LOGITS, TARGETS), expected)


def logged(folder: Path, name: str = "loss") -> list[float]:
    rows, _ = metrics.read(folder / "metrics.jsonl", 0)
    return [getattr(row, name) for row in rows if getattr(row, name) is not None]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_each_loss_trains_and_is_evaluated_alike(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Training logs the chosen loss; evaluation stays comparable: plain cross-entropy."""
    common: dict[str, Any] = {"finetuning_type": method, "val_size": 0.2, "eval_steps": 1}
    common |= {"learning_rate": 1e-9, "max_steps": 2}
    seen = {}
    for name, options in {
        "plain": {},
        "smooth": {"label_smoothing_factor": 0.9},
        "dft": {"use_dft_loss": True},
        "eaft": {"use_eaft_loss": True, "eaft_alpha": 8.0},
        "asft": {"use_asft_loss": True},
    }.items():
        folder = train_small(workspace, tiny_model_dir, name, **common, **options)
        seen[name] = logged(folder)
        assert logged(folder, "eval_loss") == pytest.approx(
            logged(workspace / "saves" / "plain", "eval_loss"), abs=1e-5
        )
    assert seen["dft"][0] < 0.1 * seen["plain"][0]  # p is small in a random model
    assert seen["asft"] == pytest.approx(seen["dft"], abs=1e-4)  # nothing has moved yet
    assert seen["eaft"][0] < seen["plain"][0]
    assert seen["smooth"][0] != pytest.approx(seen["plain"][0], abs=1e-4)


def test_the_anchor_holds(workspace: Path, tiny_model_dir: Path) -> None:
    """With a strong anchor, what the model says stays nearer to what it said before."""
    from transformers import AutoModelForCausalLM

    ids = load.tokenizer(small(tiny_model_dir))("It is 3.", return_tensors="pt")["input_ids"]

    def said(folder: Path) -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder)(ids).logits[0]
        return result

    common = {"finetuning_type": "full", "use_asft_loss": True, "max_steps": 12, "max_samples": 4}
    far = []
    for number, alpha in enumerate((0.0, 10.0)):
        folder = train_small(workspace, tiny_model_dir, str(number), asft_alpha=alpha, **common)
        far.append(token_loss.kl(said(tiny_model_dir), said(folder)).mean().item())
    assert 0 < far[1] < 0.7 * far[0]


@pytest.fixture
def experts(workspace: Path) -> Path:
    """A tiny Mixtral: four experts, two for each token."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    config = MixtralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        router_jitter_noise=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    folder = workspace / "experts"
    MixtralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_dataset(workspace, "sums", ROWS)
    return folder


@pytest.mark.parametrize("method", ["lora", "full"])
def test_experts_are_balanced(method: str, experts: Path, workspace: Path) -> None:
    """The logged loss grows by coefficient times the balance loss, which is about 2 per layer."""
    common: dict[str, Any] = {"finetuning_type": method, "max_steps": 2, "learning_rate": 1e-9}
    seen = {
        coefficient: logged(
            train_small(
                workspace, experts, f"run{coefficient}", moe_aux_loss_coef=coefficient, **common
            )
        )
        for coefficient in (None, 0.5, 1.0)
    }
    half, whole = (
        [first - second for first, second in zip(seen[coefficient], seen[None], strict=True)]
        for coefficient in (0.5, 1.0)
    )
    assert whole == pytest.approx([2 * each for each in half], rel=1e-2)
    # Switch Transformers: experts * sum of (share of tokens * mean odds); 2 of 4 chosen: >= 2
    assert all(1.9 < each < 4 for each in whole)
    saved = (workspace / "saves" / "run1.0").glob("config.json")
    assert all('"output_router_logits": true' not in path.read_text() for path in saved)


def test_a_model_without_experts_has_none_to_balance(workspace: Path, tiny_model_dir: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load.model(small(tiny_model_dir, moe_aux_loss_coef=0.01), training=True)
    assert caught.value.problems[0].code == "not_experts"


def test_noise_is_in_training_only(
    workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NEFTune: the training loss changes with the noise, evaluation and the saved model do not."""
    common: dict[str, Any] = {"val_size": 0.2, "eval_steps": 1, "learning_rate": 1e-9}
    quiet = train_small(workspace, tiny_model_dir, "quiet", **common)
    noisy = train_small(workspace, tiny_model_dir, "noisy", neftune_noise_alpha=50.0, **common)
    assert logged(quiet) != pytest.approx(logged(noisy), abs=1e-3)
    assert logged(quiet, "eval_loss") == pytest.approx(logged(noisy, "eval_loss"), abs=1e-6)
