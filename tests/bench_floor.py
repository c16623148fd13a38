"""Hand-written floors of tests.bench_speed, each in a process: the least code that does the work.

`python -m tests.bench_floor train|dpo|merge OPTIONS`, OPTIONS as JSON; prints its figures as JSON.
Rows, batches and losses are those of our own training, so that only the way to them differs.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

Json = dict[str, Any]


def main() -> None:
    """Do what the words say."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    print(json.dumps(FLOORS[name](options)))


def train(options: Json) -> Json:
    """LoRA on all linear layers in float32, logits at the labels alone; AdamW."""
    from backend.training.batches import Collator, LengthBatches

    values, rows, pad = _prepare(options)
    batch = values.per_device_train_batch_size
    order = list(LengthBatches(list(rows["length"]), batch, values.seed))
    model, optimizer = _model(values)
    collate, times, tokens, used = Collator(pad), [], [], []
    for step in range(values.max_steps):
        inputs = collate([rows[each] for each in order[step * batch : (step + 1) * batch]])
        logits, targets = _logits(model, inputs)
        functional.cross_entropy(logits, targets).backward()
        _update(model, optimizer)
        times.append(time.perf_counter())
        used.append(time.process_time())
        tokens.append(inputs["tokens"])
    return {
        "tokens_per_second": sum(tokens[1:]) / (times[-1] - times[0]),
        "tokens_per_cpu_second": sum(tokens[1:]) / (used[-1] - used[0]),
    }


def dpo(options: Json) -> Json:
    """DPO whose reference is computed once, in the first epoch."""
    from backend.training.batches import LengthBatches
    from backend.training.preference import PairCollator

    values, rows, pad = _prepare(options)
    batch = values.per_device_train_batch_size
    sampler = LengthBatches(list(rows["length"]), batch, values.seed)
    model, optimizer = _model(values)
    collate, known, done = PairCollator(pad), {}, 0
    begin, used = time.perf_counter(), time.process_time()
    for epoch in range(int(values.num_train_epochs)):
        sampler.set_epoch(epoch)
        order = list(sampler)
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            inputs = collate([rows[each] for each in places])
            missing = not set(places) <= known.keys()
            if missing:
                with torch.no_grad(), model.disable_adapter():
                    sums = _sums(model, inputs).view(2, -1)
                known |= {place: sums[:, at] for at, place in enumerate(places)}
            before = torch.stack([known[each] for each in places], 1)
            ratios = 0.1 * (_sums(model, inputs).view(2, -1) - before)
            (-functional.logsigmoid(ratios[0] - ratios[1]).mean()).backward()
            _update(model, optimizer)
            done += len(places)
    return {
        "pairs_per_second": done / (time.perf_counter() - begin),
        "pairs_per_cpu_second": done / (time.process_time() - used),
    }


def merge(options: Json) -> Json:
    """W + s*B*A, a tensor at a time, in one file."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    base, adapter, target = (Path(options[name]) for name in ("base", "adapter", "target"))
    settings = json.loads((adapter / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    parts = load_file(adapter / "adapter_model.safetensors")
    merged = {}
    with safe_open(base / "model.safetensors", framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - no mapping
            weight = weights.get_tensor(name)
            module = f"base_model.model.{name.removesuffix('.weight')}"
            down, up = (parts.get(f"{module}.lora_{side}.weight") for side in "AB")
            if up is not None and down is not None:
                weight = (weight.float() + scale * (up.float() @ down.float())).to(weight.dtype)
            merged[name] = weight
    target.mkdir(parents=True)
    save_file(merged, target / "model.safetensors", metadata={"format": "pt"})
    return {}


def _prepare(options: Json) -> tuple[Any, Any, int]:
    """The values, the rows of our own preparation, and the id of padding."""
    from backend.contract.arguments.arguments import parse, resolve
    from backend.data import prepare, templates
    from backend.model import load
    from backend.running.report import Report

    values = resolve(parse(options, "train")[0])
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    folder = Path(str(values.output_dir))
    folder.mkdir(parents=True)
    resolved = values.replace(template=template.name)
    prepared = prepare.prepare_training(resolved, tokenizer, template, Report(folder))
    return values, prepared.train, tokenizer.pad_token_id or 0


def _model(values: Any) -> tuple[Any, torch.optim.Optimizer]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    place = "cuda" if torch.cuda.is_available() else "cpu"
    base = AutoModelForCausalLM.from_pretrained(values.model_name_or_path, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(base.to(place), config).train()
    learned = [each for each in model.parameters() if each.requires_grad]
    return model, torch.optim.AdamW(learned, lr=values.learning_rate)


def _logits(model: Any, inputs: Json) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits where a label follows, and the labels."""
    place = model.device
    ids, mask, labels = (
        inputs[name].to(place) for name in ("input_ids", "attention_mask", "labels")
    )
    inner = model.get_base_model()
    states = inner.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    learned = labels[:, 1:] != -100
    return inner.lm_head(states[:, :-1][learned]), labels[:, 1:][learned]


def _sums(model: Any, inputs: Json) -> torch.Tensor:
    """The log-probability of each answer."""
    logits, targets = _logits(model, inputs)
    logps = -functional.cross_entropy(logits, targets, reduction="none")
    learned = (inputs["labels"][:, 1:] != -100).to(logps.device)
    return torch.zeros(learned.shape, device=logps.device).masked_scatter(learned, logps).sum(1)


def _update(model: Any, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


FLOORS = {"train": train, "dpo": dpo, "merge": merge}

if __name__ == "__main__":
    main()
