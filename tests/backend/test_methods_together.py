"""Methods with each other: continued, stacked, refused; AdaLoRA's schedule; LoftQ; zero steps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    FalconForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from backend.contract.arguments.arguments import active_fields, resolve, validate
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.texts.problems import TuneboardError
from backend.model import load, peft_methods, saved_weights
from tests.backend.training import small, train_small

IDS = torch.tensor([[5, 6, 7, 8, 9]])
WEIGHTS = "adapter_model.safetensors"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=IDS, attention_mask=IDS * 0 + 1).logits
    return result[:, -IDS.shape[1] :]


def code(error: pytest.ExceptionInfo[TuneboardError]) -> str:
    return error.value.problems[0].code


def wider(folder: Path, tokenizer: Any) -> Path:
    """A model whose layers are as wide as a block of 4-bit numbers, 64."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"init_lora_weights": "gaussian"},
        {"finetuning_type": "adalora"},
        {"finetuning_type": "oft"},
        {"finetuning_type": "ia3"},
        {"finetuning_type": "vera", "vera_rank": 8},
    ],
)
def test_an_untrained_adapter_changes_nothing(
    options: dict[str, Any], tiny_model_dir: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model = load.model(small(tiny_model_dir, **options), training=True)
    result, wanted = logits(model), logits(base)
    if options.get("use_dora") or options.get("finetuning_type") == "vera":
        assert torch.allclose(
            result, wanted, atol=1e-6
        )  # scaled and divided again; b is 0 but d 0.1
    else:
        assert torch.equal(result, wanted)


@pytest.mark.parametrize("options", [{"init_lora_weights": "olora"}, {"pissa_init": True}])
def test_a_start_from_the_weights_changes_nothing_either(
    options: dict[str, Any], tiny_model_dir: Path
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model = load.model(small(tiny_model_dir, **options), training=True)
    assert torch.allclose(logits(model), logits(base), atol=1e-5)


@pytest.mark.parametrize("method", ["oft", "ia3", "vera", "prompt", "prefix"])
def test_an_adapter_learns_on(method: str, workspace: Path, tiny_model_dir: Path) -> None:
    options = {"finetuning_type": method, "num_virtual_tokens": 4, "learning_rate": 1e-2}
    first = train_small(workspace, tiny_model_dir, "first", **options)
    frozen = {**options, "learning_rate": 0.0}
    again = train_small(
        workspace, tiny_model_dir, "again", adapter_name_or_path=str(first), **frozen
    )
    before, after = load_file(first / WEIGHTS), load_file(again / WEIGHTS)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before.keys() == after.keys()
    more = train_small(
        workspace, tiny_model_dir, "more", adapter_name_or_path=str(first), **options
    )
    after = load_file(more / WEIGHTS)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_new_adapter_over_others(workspace: Path, tiny_model_dir: Path) -> None:
    """What can be merged is, and the new one learns over it; soft prompts can only come last."""
    rate = {"learning_rate": 1e-2}
    first = train_small(workspace, tiny_model_dir, "first", finetuning_type="oft", **rate)
    second = train_small(
        workspace,
        tiny_model_dir,
        "second",
        finetuning_type="prompt",
        adapter_name_or_path=str(first),
        create_new_adapter=True,
        **rate,
    )
    both = f"{first},{second}"
    whole = load.model(small(tiny_model_dir, adapter_name_or_path=both), training=False)
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    merged = PeftModel.from_pretrained(base, first).merge_and_unload()
    wanted = logits(PeftModel.from_pretrained(merged, second))
    assert torch.allclose(logits(whole), wanted, atol=1e-5)
    with pytest.raises(TuneboardError) as error:
        train_small(
            workspace,
            tiny_model_dir,
            "third",
            adapter_name_or_path=both,
            create_new_adapter=True,
        )
    assert code(error) == "adapter_not_mergeable"
    with pytest.raises(TuneboardError) as error:
        train_small(workspace, tiny_model_dir, "fourth", adapter_name_or_path=str(first))
    assert code(error) == "adapter_other_method"
    assert error.value.problems[0].params["found"] == "oft"


def test_adalora_comes_down_to_its_budget(workspace: Path, tiny_model_dir: Path) -> None:
    """After the last third has begun, the ranks left are those asked for, on average."""
    folder = train_small(
        workspace,
        tiny_model_dir,
        finetuning_type="adalora",
        adalora_init_r=4,
        adalora_target_r=2,
        max_steps=9,
        learning_rate=1e-2,
    )
    ranks = [len(each) for name, each in load_file(folder / WEIGHTS).items() if "lora_A" in name]
    assert len(ranks) == 14
    assert sum(ranks) == 28
    assert len(set(ranks)) > 1


def test_adalora_remembers_what_mattered(workspace: Path, tiny_model_dir: Path) -> None:
    """A checkpoint holds the importance of each weight: without it, other ranks would be cut."""
    options = {"finetuning_type": "adalora", "max_steps": 3, "save_steps": 2}
    folder = train_small(workspace, tiny_model_dir, **options)
    model = load.model(small(tiny_model_dir, finetuning_type="adalora"), training=True)
    assert saved_weights.read_trainable(model, folder / "checkpoint-2")
    scores = model.base_model.rankallocator.exp_avg_unc
    assert scores.keys()
    assert all(bool(each.any()) for name, each in scores.items() if "lora_E" in name)
    assert model.peft_config["default"].rank_pattern


def test_adalora_pulls_its_factors_towards_orthogonal(tiny_model_dir: Path) -> None:
    """The gradient of the penalty is that of peft's own loss with labels."""
    from backend.model.peft_methods import AdaLoraCallback

    model = load.model(small(tiny_model_dir, finetuning_type="adalora"), training=True)
    output = model(input_ids=IDS, labels=IDS)
    base = torch.nn.functional.cross_entropy(output.logits[0, :-1], IDS[0, 1:])
    (output.loss - base).backward()
    learned = {name: each for name, each in model.named_parameters() if each.grad is not None}
    wanted = {name: each.grad.clone() for name, each in learned.items()}
    model.zero_grad()
    AdaLoraCallback().on_pre_optimizer_step(None, None, None, model=model)
    factors = [name for name in wanted if "lora_A" in name or "lora_B" in name]
    assert len(factors) == 28
    for name in factors:
        assert torch.allclose(learned[name].grad, wanted[name], atol=1e-5)


@pytest.mark.parametrize("method", ["oft", "prefix"])
def test_a_method_that_an_architecture_has_no_form_for(method: str, tmp_path: Path) -> None:
    """OFT cannot turn GPT-2's transposed layers; peft has no prefix for Falcon."""
    shape = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    made = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4))
    model = made if method == "oft" else FalconForCausalLM(FalconConfig(**shape))
    model.save_pretrained(tmp_path)
    with pytest.raises(TuneboardError) as error:
        load.model(small(tmp_path, finetuning_type=method), training=True)
    assert code(error) == "method_unfit"


def test_ia3_finds_its_modules_in_an_unknown_architecture(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    model.config.model_type = "brand_new"
    result = peft_methods.config(model, small(tiny_model_dir, finetuning_type="ia3"))
    assert result.target_modules == {"k_proj", "v_proj", "down_proj"}
    assert result.feedforward_modules == {"down_proj"}


def test_loftq_makes_up_for_quantization(workspace: Path, tiny_tokenizer: Any) -> None:
    """It starts nearer to the full model, lasts, and is refused without quantization."""
    pytest.importorskip("bitsandbytes")
    tiny_model_dir = wider(workspace / "saves" / "model", tiny_tokenizer)
    from backend.contract.arguments.arguments import parse
    from backend.export import export

    full = logits(AutoModelForCausalLM.from_pretrained(tiny_model_dir))
    four = {"quantization_bit": "4", "lora_rank": 16}
    plain = load.model(small(tiny_model_dir, **four), training=True)
    loftq = load.model(small(tiny_model_dir, **four, init_lora_weights="loftq"), training=True)
    assert (logits(loftq) - full).abs().mean() < 0.7 * (logits(plain) - full).abs().mean()

    folder = train_small(workspace, tiny_model_dir, **four, init_lora_weights="loftq")
    chat = load.model(small(folder, quantization_bit="4"), training=False)
    assert (logits(chat) - full).abs().mean() < (logits(plain) - full).abs().mean()
    with pytest.raises(TuneboardError) as error:
        load.model(small(folder), training=False)
    assert code(error) == "adapter_needs_4bit"
    values, _ = parse(
        {"model_name_or_path": str(folder), "export_dir": str(workspace / "x")}, "export"
    )
    with pytest.raises(TuneboardError) as error:
        export.run(resolve(values), workspace)
    assert code(error) == "loftq_not_mergeable"


def test_oft_learns_over_a_quantized_base(workspace: Path, tiny_tokenizer: Any) -> None:
    pytest.importorskip("bitsandbytes")
    base = wider(workspace / "saves" / "model", tiny_tokenizer)
    four = {"quantization_bit": "4", "finetuning_type": "oft", "learning_rate": 1e-2}
    folder = train_small(workspace, base, **four)
    before = load.model(small(base, quantization_bit="4"), training=False)
    after = load.model(small(folder, **four), training=False)
    assert (logits(before) - logits(after)).abs().max() > 1e-4


OWN = {
    "oft": {"oft_rank", "oft_block_size", "oft_target", "module_dropout"},
    "adalora": {"adalora_init_r", "adalora_target_r"},
    "vera": {"vera_rank"},
    "prompt": {"num_virtual_tokens", "prompt_tuning_init_text"},
    "prefix": {"num_virtual_tokens", "prompt_tuning_init_text"},
    "ptuning": {"num_virtual_tokens", "encoder_hidden_size"},
    "lora": {"lora_rank", "use_dora", "init_lora_weights", "use_llama_pro"},
    "freeze": {"freeze_trainable_layers", "use_llama_pro"},
    "ia3": set(),
    "full": set(),
}


@pytest.mark.parametrize("method", OWN)
def test_only_the_method_s_own_fields_apply(method: str) -> None:
    shown = {row.name for row in active_fields({"finetuning_type": method}, "train")}
    assert shown & set().union(*OWN.values()) == OWN[method]
    assert ("create_new_adapter" in shown) == is_adapter(method)
    assert ("lora_target" in shown) == (method in {"lora", "adalora", "ia3", "vera"})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"finetuning_type": "full", "adapter_name_or_path": "a"}, "adapter_needs_lora"),
        ({"finetuning_type": "ia3", "quantization_bit": "4"}, "quantization_needs_lora"),
        ({"finetuning_type": "vera", "use_dora": True}, "needs_lora"),
        ({"finetuning_type": "oft", "init_lora_weights": "olora"}, "needs_lora"),
        ({"pissa_init": True, "init_lora_weights": "olora"}, "pissa_and_init"),
        ({"init_lora_weights": "olora", "quantization_bit": "8"}, "olora_and_quantization"),
        ({"init_lora_weights": "loftq"}, "loftq_needs_4bit"),
        (
            {"init_lora_weights": "loftq", "quantization_bit": "4", "use_dora": True},
            "loftq_and_dora",
        ),
        ({"pissa_init": True, "stage": "ppo"}, "changed_base_and_reference"),
        ({"pissa_init": True, "stage": "kto"}, "changed_base_and_reference"),
        ({"init_lora_weights": "olora", "stage": "dpo"}, "changed_base_and_reference"),
        ({"finetuning_type": "full", "use_llama_pro": True}, "llama_pro_method"),
        ({"finetuning_type": "adalora", "adalora_target_r": 12}, "adalora_ranks"),
        ({"finetuning_type": "adalora", "adapter_name_or_path": "a"}, "adapter_not_continued"),
        ({"finetuning_type": "ptuning", "adapter_name_or_path": "a"}, "adapter_not_continued"),
        ({"finetuning_type": "prefix", "stage": "dpo"}, "soft_prompt_stage"),
        ({"finetuning_type": "prompt", "packing": True}, "soft_prompt_and"),
        ({"finetuning_type": "prompt", "neftune_noise_alpha": 5}, "soft_prompt_and"),
        ({"finetuning_type": "oft", "use_galore": True}, "lora_and_low_rank_optimizer"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], expected: str) -> None:
    whole = {"model_name_or_path": "m", "dataset": "d", **options}
    assert expected in [problem.code for problem in validate(whole, "train")]


@pytest.mark.parametrize(
    "options",
    [
        {"finetuning_type": "oft", "quantization_bit": "4"},
        {"finetuning_type": "oft", "adapter_name_or_path": "a"},
        {"pissa_init": True, "stage": "dpo", "pref_loss": "orpo"},
        {"finetuning_type": "adalora", "adapter_name_or_path": "a", "create_new_adapter": True},
        {"finetuning_type": "lora", "use_llama_pro": True},
        {"finetuning_type": "prefix", "stage": "pt"},
    ],
)
def test_what_goes_together_is_accepted(options: dict[str, Any]) -> None:
    whole = {"model_name_or_path": "m", "dataset": "d", **options}
    assert validate(whole, "train") == []
