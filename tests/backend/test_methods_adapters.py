"""Every method: train, load with plain peft, resume, chat, export or a refusal with a reason."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.fields import methods
from backend.contract.texts.problems import TuneboardError
from backend.export import export
from backend.model import adapters, load
from tests.backend.training import small, train_small

IDS = torch.tensor([[5, 6, 7, 8, 9]])
KINDS: dict[str, dict[str, Any]] = {
    "olora": {"finetuning_type": "lora", "init_lora_weights": "olora"},
    "olora, rslora, more": {
        "finetuning_type": "lora",
        "init_lora_weights": "olora",
        "use_rslora": True,
        "additional_target": "norm",
    },
    "olora, dora": {"finetuning_type": "lora", "init_lora_weights": "olora", "use_dora": True},
    "gaussian": {"finetuning_type": "lora", "init_lora_weights": "gaussian"},
    "pissa": {"finetuning_type": "lora", "pissa_init": True, "pissa_iter": 4},
    "oft": {"finetuning_type": "oft", "oft_block_size": 8},
    "oft, rank": {"finetuning_type": "oft", "oft_rank": 4, "additional_target": "norm"},
    "adalora": {"finetuning_type": "adalora", "adalora_init_r": 4, "adalora_target_r": 2},
    "ia3": {"finetuning_type": "ia3"},
    "ia3, targets": {"finetuning_type": "ia3", "lora_target": "v_proj,down_proj"},
    "vera": {"finetuning_type": "vera", "vera_rank": 16},
    "prompt": {"finetuning_type": "prompt", "num_virtual_tokens": 4},
    "prompt, text": {
        "finetuning_type": "prompt",
        "num_virtual_tokens": 4,
        "prompt_tuning_init_text": "You are a helpful assistant.",
    },
    "prefix": {"finetuning_type": "prefix", "num_virtual_tokens": 4},
    "ptuning": {"finetuning_type": "ptuning", "num_virtual_tokens": 4, "encoder_hidden_size": 8},
}
FAST = {"learning_rate": 0.02, "lr_scheduler_type": "constant"}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=IDS, attention_mask=IDS * 0 + 1).logits
    return result[:, -IDS.shape[1] :]


def test_every_method_is_here() -> None:
    assert {each["finetuning_type"] for each in KINDS.values()} == set(methods.ADAPTERS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_lives_its_whole_life(
    kind: str, workspace: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps, plain peft gives the same answers, on to four as without a break, chat, export."""
    last: list[torch.Tensor] = []
    monkeypatch.setattr(
        "backend.train.final_metrics", lambda trainer: last.append(logits(trainer.model)) or {}
    )
    options = {**FAST, **KINDS[kind], "save_steps": 2}
    broken = train_small(workspace, tiny_model_dir, "run", **options, max_steps=4)
    before = logits(AutoPeftModelForCausalLM.from_pretrained(broken / "checkpoint-2"))
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    loaded = logits(AutoPeftModelForCausalLM.from_pretrained(broken))
    assert (loaded - last[-1]).abs().max() < 1e-4
    checkpoint = logits(AutoPeftModelForCausalLM.from_pretrained(broken / "checkpoint-4"))
    assert (checkpoint - loaded).abs().max() < 1e-4
    assert (loaded - logits(base)).abs().max() > 1e-4
    assert (loaded - before).abs().max() > 1e-5

    train_small(
        workspace,
        tiny_model_dir,
        "run",
        **options,
        max_steps=4,
        resume_from_checkpoint=str(broken / "checkpoint-2"),
    )
    assert (last[1] - last[0]).abs().max() < 1e-5

    chat = load.model(small(broken), training=False)
    assert (logits(chat) - loaded).abs().max() < 1e-4
    answer = chat.generate(
        input_ids=IDS, attention_mask=IDS * 0 + 1, max_new_tokens=4, do_sample=False
    )
    assert answer.shape[1] > IDS.shape[1]
    next_token = loaded[0, -1].argmax()
    assert answer[0, IDS.shape[1]] == next_token
    _export(workspace, broken, loaded, KINDS[kind]["finetuning_type"])


def test_an_adapter_of_replicated_layers_is_never_merged(
    workspace: Path, tiny_model_dir: Path
) -> None:
    """The copies share their weight: merged, each would answer with the adapters of all."""
    folder, target = workspace / "saves" / "copies", workspace / "merged"
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    config = LoraConfig(
        layer_replication=[(0, 2), (0, 2)],
        target_modules=["v_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    tuned = get_peft_model(base, config)
    tuned.save_pretrained(folder)
    arguments = {"model_name_or_path": str(tiny_model_dir), "adapter_name_or_path": str(folder)}
    parsed, problems = parse({**arguments, "export_dir": str(target)}, "export")
    assert not problems
    values = resolve(parsed)
    (workspace / "export").mkdir()
    with pytest.raises(TuneboardError) as error:
        export.run(values, workspace / "export")
    assert error.value.problems[0].code == "replicated_not_mergeable"
    assert not target.exists()
    answering = adapters.fuse(load.model(values, training=False))
    assert isinstance(answering, PeftModel)
    assert (logits(answering) - logits(tuned)).abs().max() < 1e-6


def _export(workspace: Path, folder: Path, wanted: torch.Tensor, method: str) -> None:
    target = workspace / "merged"
    values, problems = parse(
        {"model_name_or_path": str(folder), "export_dir": str(target)}, "export"
    )
    assert not problems
    run = workspace / "export"
    run.mkdir()
    if method in methods.SOFT_PROMPTS:
        with pytest.raises(TuneboardError) as error:
            export.run(resolve(values), run)
        assert error.value.problems[0].code == "adapter_not_mergeable"
        assert not target.exists()
        return
    export.run(resolve(values), run)
    assert (logits(AutoModelForCausalLM.from_pretrained(target)) - wanted).abs().max() < 1e-4
    assert AutoTokenizer.from_pretrained(target).chat_template
