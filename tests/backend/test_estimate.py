"""The estimate of a training's memory: figures that can be computed by hand, and real tensors."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from backend.__main__ import main
from backend.contract.system.warm_child import WarmChild
from backend.contract.texts.problems import TuneboardError, UsageError
from backend.data.lengths import Lengths
from backend.estimate import losses, overhead, skeleton, step, timeline, workload
from backend.estimate.estimate import Estimate, estimate
from backend.estimate.free_memory import container_rooms, free_memory
from backend.estimate.meta_tensors import MetaKernels, Tracker
from backend.estimate.workload import Workload
from backend.model import load, optimizer_states
from tests.backend.conftest import make_tokenizer
from tests.backend.training import small

# The tiny model: 2 layers of width 32 with 4 heads (2 for keys and values), an MLP of 64.
HIDDEN, MLP, LAYERS = 32, 64, 2
LINEAR = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 64), (32, 64), (64, 32)]


def of(model: Path, **options: Any) -> Estimate:
    return estimate(small(model, **{"gradient_accumulation_steps": 1, **options}))


def vocabulary(model: Path) -> int:
    return int(json.loads((model / "config.json").read_text())["vocab_size"])


def test_weights_gradients_and_moments_of_all_weights(tiny_model_dir: Path) -> None:
    in_layers = sum(first * second for first, second in LINEAR) + 2 * HIDDEN
    count = vocabulary(tiny_model_dir) * HIDDEN + LAYERS * in_layers + HIDDEN
    figures = of(tiny_model_dir, finetuning_type="full", gradient_accumulation_steps=2)
    assert (figures.learned, figures.all) == (count, count)
    buffers = 2 * 4 * 4  # the frequencies of the positions, as they are and as they began
    assert figures.parts["weights"] == 4 * count + buffers
    assert figures.parts["optimizer"] == 8 * count
    assert figures.parts["gradients"] == 4 * count


def test_an_adapter_learns_rank_times_inputs_and_outputs(tiny_model_dir: Path) -> None:
    figures = of(tiny_model_dir, lora_rank=4)
    assert figures.learned == LAYERS * 4 * sum(sum(pair) for pair in LINEAR)
    assert figures.parts["optimizer"] == 8 * figures.learned


def test_four_bits_and_a_scale_for_each_64_numbers(tiny_model_dir: Path) -> None:
    figures = of(tiny_model_dir, quantization_bit="4", double_quantization=False)
    numbers = LAYERS * sum(first * second for first, second in LINEAR)
    assert figures.parts["quantized"] == numbers // 2 + 4 * numbers // 64


def test_a_reward_model_has_no_logits(tiny_model_dir: Path) -> None:
    figures = of(tiny_model_dir, stage="rm")
    assert figures.workload == Workload(rows=4, length=128, learned=0, masked=True)
    assert figures.parts.get("logits", 0) < 4 * 4 * 128


def test_dpo_keeps_a_copy_of_what_learns_unless_an_adapter_is_new(tiny_model_dir: Path) -> None:
    whole = of(tiny_model_dir, stage="dpo", finetuning_type="full")
    assert whole.parts["copies"] == 4 * whole.learned
    assert "copies" not in of(tiny_model_dir, stage="dpo").parts
    simpo = of(tiny_model_dir, stage="dpo", finetuning_type="full", pref_loss="simpo")
    assert "copies" not in simpo.parts


def test_checkpointing_keeps_the_input_of_each_layer(tiny_model_dir: Path) -> None:
    with_it = of(tiny_model_dir, stage="pt", per_device_train_batch_size=3)
    without = of(
        tiny_model_dir,
        stage="pt",
        per_device_train_batch_size=3,
        disable_gradient_checkpointing=True,
    )
    assert with_it.parts["activations"] < without.parts["activations"]
    assert with_it.parts["logits"] == pytest.approx(without.parts["logits"], rel=0.05)


def test_scores_of_eager_attention_are_kept(tiny_model_dir: Path) -> None:
    sizes = {
        kind: of(
            tiny_model_dir, flash_attn=kind, stage="pt", disable_gradient_checkpointing=True
        ).parts["activations"]
        for kind in ("sdpa", "disabled")
    }
    scores = 2 * 4 * 128 * 128 * 4  # rows, heads, length x length, float32
    assert sizes["disabled"] - sizes["sdpa"] > LAYERS * scores


def test_the_longest_rows_of_the_data_make_the_batch(tiny_model_dir: Path) -> None:
    import numpy as np

    prompt, answer = np.array([10, 40, 5, 7]), np.array([6, 20, 30, 3])
    lengths = Lengths(prompt, answer, 4, 0, 4, True)
    values = small(tiny_model_dir, per_device_train_batch_size=2)
    assert workload.plan(values, lengths) == Workload(2, 60, 50, True)
    assert workload.plan(values).length == 128
    assert workload.plan(small(tiny_model_dir, stage="pt")).masked is False


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2", "gemma3_text", "phi3", "gpt_neox"])
def test_tensors_without_data_take_what_real_ones_take(kind: str, masked: bool) -> None:
    """The most that a step keeps, in bytes: on the device "meta" and on the processor."""
    from tests.matrix import shrink

    config = shrink.shrunk(kind, make_tokenizer())
    work = Workload(rows=2, length=48, learned=94, masked=masked)
    tops = {}
    for device in ("meta", "cpu"):
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config).train()
        tops[device] = _top(model, work, device)
    assert tops["meta"] == pytest.approx(tops["cpu"], rel=0.02)


def _top(model: Any, work: Workload, device: str) -> int:
    ids = torch.zeros(work.rows, work.length, dtype=torch.int64, device=device)
    mask = torch.ones_like(ids)
    if work.masked and device == "cpu":
        mask[0, -1] = 0
    known = (*model.parameters(), *model.buffers(), ids, mask)
    with MetaKernels(masked=work.masked), Tracker(known) as tracker:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        logits.logsumexp(-1).sum().backward()
    return tracker.top


def test_a_layer_of_each_kind_stands_for_all(tiny_model_dir: Path) -> None:
    """The unfolded segments of one layer give what all layers give, computed in full."""
    values = small(
        tiny_model_dir, finetuning_type="full", disable_gradient_checkpointing=True, stage="pt"
    )
    work = workload.plan(values)
    model = load.empty_model(values).train()
    known = (*model.parameters(), *model.buffers())
    with MetaKernels(masked=False), Tracker(known) as tracker:
        losses.compute(model, values, work).backward()
    built = skeleton.build(values)
    assert built.names == ("layer 0",) * LAYERS
    assert len(skeleton.layers_of(built.model)) == 1
    parts, _ = step.measure(built, values.replace(gradient_accumulation_steps=1), work)
    unfolded = timeline.fullest(timeline.unfold(parts, built.names)).total
    assert unfolded == pytest.approx(tracker.top, rel=0.01)


def test_the_heap_keeps_twice_its_largest_block() -> None:
    with Tracker([]) as tracker:
        blocks = [
            torch.empty(size, dtype=torch.uint8, device="meta") for size in (50, 2**25, 2**26)
        ]
    assert tracker.largest == 2**25
    assert overhead.allocator(tracker.largest) == 2**26
    del blocks


@pytest.mark.parametrize("method", ["full", "lora", "freeze"])
def test_a_gpu_computes_in_half_precision(
    method: str, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the arithmetic says of a machine with a GPU: halves of what layers keep for products,
    and no figure for what the driver takes."""
    options = {"stage": "pt", "finetuning_type": method, "disable_gradient_checkpointing": True}
    here = of(tiny_model_dir, **options)
    monkeypatch.setattr("backend.model.device.device", lambda: "cuda")
    monkeypatch.setattr("backend.model.device.has_bf16", lambda: True)
    for room in ("meta_tensors", "overhead", "estimate"):
        monkeypatch.setattr(f"backend.estimate.{room}.device", lambda: "cuda")
    there = of(tiny_model_dir, **options)
    assert there.unknown == ("framework",)
    assert "allocator" not in there.parts
    if method != "full":  # the weights that learn stay float32
        assert there.parts["weights"] < here.parts["weights"]
    assert there.parts["activations"] < here.parts["activations"]
    assert there.parts["optimizer"] == here.parts["optimizer"]


OPTIMIZERS = ("adamw_torch", "sgd", "adagrad", "rmsprop", "adafactor", "stable_adamw")


@pytest.mark.parametrize("name", [*OPTIMIZERS, "schedule_free_adamw"])
def test_states_of_optimizers_are_as_large_as_said(name: str, tiny_model_dir: Path) -> None:
    from transformers import Trainer, TrainingArguments

    values = small(tiny_model_dir, optim=name, finetuning_type="full")
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tiny_model_dir))
    args = TrainingArguments(output_dir="none", optim=name, use_cpu=True, report_to="none")
    make, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
    optimizer = make(model.parameters(), **options)
    for weights in model.parameters():
        weights.grad = torch.ones_like(weights)
    if hasattr(optimizer, "train"):
        optimizer.train()
    optimizer.step()
    states = sum(
        each.numel() * each.element_size()
        for state in optimizer.state.values()
        for each in state.values()
        if isinstance(each, torch.Tensor)
    )
    shapes = [weights.shape for weights in model.parameters()]
    expected = optimizer_states.size(values, shapes, 4)
    assert states == pytest.approx(expected, rel=0.02, abs=400)


def test_what_is_not_known_is_refused_by_name(tiny_model_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        of(tiny_model_dir, use_llama_pro=True, finetuning_type="freeze")
    assert caught.value.problems[0].code == "estimate_unknown"


def test_the_command_prints_parts_and_what_is_free(
    tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["estimate", "--model_name_or_path", str(tiny_model_dir), "--cutoff_len", "64"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "weights" in shown
    assert "RAM" in shown
    assert main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["total"] == sum(figures["parts"].values())
    assert figures["places"][0]["free"] > 0


@pytest.fixture
def child(workspace: Path) -> Iterator[WarmChild]:
    """The page's child, the real one, which is ended with the test."""
    child = WarmChild("backend.estimate.answers", HF_HUB_OFFLINE="1")
    yield child
    child.end()


def ask(child: WarmChild, **values: Any) -> Any:
    *_, last = child.ask({"do": "estimate", "values": values}, 120)
    return last["answer"]


def test_the_page_s_child_answers_what_the_command_says(
    child: WarmChild, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within 300 ms once it knows the model, and in the same process after a refusal."""
    values = {"model_name_or_path": str(tiny_model_dir), "cutoff_len": 64}
    first = ask(child, **values)
    words = [f"--{name}={value}" for name, value in values.items()]
    assert main(["estimate", *words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    for peak in (first, figures):
        del peak["parts"]["framework"]
    assert first["parts"] == figures["parts"]
    pid = child.pid
    with pytest.raises(TuneboardError, match="rloo"):
        ask(child, **values, stage="rloo")
    began = time.monotonic()
    assert ask(child, **{**values, "per_device_train_batch_size": 4})["workload"]["rows"] == 4
    assert time.monotonic() - began < 3.0  # 0.3 s on a machine that has nothing else to do
    assert child.pid == pid


def test_the_page_s_child_downloads_nothing_and_runs_no_code_of_a_model(
    child: WarmChild, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(TuneboardError) as caught:
        ask(child, model_name_or_path="somebody/something")
    assert caught.value.problems[0].code == "hub_unreachable"
    folder = shutil.copytree(tiny_model_dir, tmp_path / "with-code")
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of"}))
    with pytest.raises(TuneboardError):
        ask(child, model_name_or_path=str(folder), trust_remote_code=True)
    assert not (tmp_path / "ran").exists()


def test_a_container_s_limits_count(tmp_path: Path) -> None:
    """Those of all groups that the process is in; files that the kernel holds for later count as
    free."""
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    sizes = {"": ("max", 9000, 0), "pod": ("8000", 5000, 1000), "pod/box": ("6000", 1000, 0)}
    for name, (limit, used, files) in sizes.items():
        folder = groups / name
        folder.mkdir(parents=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\n")
    own.write_text("0::/pod/box\n")
    assert container_rooms(groups, own) == [(5000, 6000), (4000, 8000)]
    assert container_rooms(groups, tmp_path / "none") == []


def test_less_than_is_free_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_MEMORY_GB", "1.5")
    most = [{"name": "RAM", "free": 1_500_000_000, "all": 1_500_000_000}]
    assert free_memory("cpu") == most
    assert free_memory("cpu", held=500_000_000) == most, "it is the most that it takes in all"
