"""Models that also see or hear: trained on text only, whole in every result, or refused in words.

The models are the configurations of transformers 5.23, shrunk by tests.matrix.shrink; the tensors,
their names and the class are those of the folder that transformers itself writes for such a model.
Seen before this was right: a tiny Qwen3.5 exported 31 of its 64 tensors, as Qwen3_5ForCausalLM,
with "Succeeded".
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.texts.problems import TuneboardError
from backend.export import export
from backend.model import language, load
from backend.running.failures import Stopped
from backend.running.report import Report
from tests.backend.conftest import make_tokenizer
from tests.backend.preferences import register
from tests.backend.training import train_small
from tests.matrix import shrink
from tests.matrix.one import tensors_of

Make = Callable[..., Path]
WEIGHTS = "model.safetensors"
# Their tensors have other names in the files than in the model, but for the first and the last.
FOUR = ("qwen3_5", "llava", "qwen2_audio", "smolvlm")
# Every way in which weights of the language model change, and whether peft does the merging.
RESULTS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "embeddings": {"additional_target": "embed_tokens"},
    "new tokens": {"add_tokens": "<new>", "resize_vocab": True},
    "full": {"finetuning_type": "full", "save_steps": 1},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
    "blocks": {
        "finetuning_type": "freeze",
        "freeze_trainable_layers": 1,
        "use_llama_pro": True,
    },
}


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The folder of a tiny model of a type, made once; with `dtype`, its weights are cast."""
    home = tmp_path_factory.mktemp("see_and_hear")

    def folder(model_type: str, dtype: torch.dtype = torch.float32) -> Path:
        path = home / f"{model_type}-{dtype}"
        if not path.exists():
            path.mkdir()
            shrink.save(model_type, path)
            weights = load_file(path / WEIGHTS)
            cast = {name: each.to(dtype) for name, each in weights.items()}
            save_file(cast, path / WEIGHTS, metadata={"format": "pt"})
        return path

    return folder


def exported(home: Path, base: Path, adapter: Path, **options: Any) -> Path:
    """`tuneboard export` of a base with an adapter; the folder."""
    target = home / "out" / adapter.name
    raw = {"model_name_or_path": str(base), "adapter_name_or_path": str(adapter), **options}
    values, problems = parse({**raw, "export_dir": str(target)}, "export")
    assert not problems
    job = home / "saves" / f"export-{adapter.name}"
    job.mkdir()
    export.run(resolve(values), job)
    return target


def architecture(folder: Path) -> list[str]:
    names: list[str] = json.loads((folder / "config.json").read_text())["architectures"]
    return names


def others(base: Path) -> set[str]:
    """Names in the files of what is not the language model."""
    values, _ = parse({"model_name_or_path": str(base)}, "chat")
    model = load.base_model(resolve(values))
    own = {id(weights) for _, weights in language.parameters(model)}
    renamed = model.architecture.renamed
    return {
        renamed.get(name, name) for name, each in model.named_parameters() if id(each) not in own
    }


@pytest.mark.parametrize("model_type", FOUR)
def test_every_result_has_every_tensor_and_the_other_parts_to_the_bit(
    model_type: str, workspace: Path, make: Make
) -> None:
    """The base is bfloat16 and trained in float32, as on a CPU: what did not change is bfloat16."""
    base = make(model_type, torch.bfloat16)
    before, frozen = tensors_of(base), others(base)
    assert 5 < len(frozen) < len(before) - 5
    looked_at = 0
    for kind, options in RESULTS.items():
        run = train_small(workspace, base, kind, max_steps=1, learning_rate=0.01, **options)
        results = [run, run / "checkpoint-1"] if kind == "full" else [run]
        if (run / "adapter_config.json").is_file():
            results = [exported(workspace, base, run)]
        for folder in results:
            after = tensors_of(folder)
            assert before.keys() <= after.keys(), (kind, sorted(before.keys() - after.keys()))
            new = after.keys() - before.keys()
            assert bool(new) == (kind == "blocks"), (kind, new)
            assert all(before[name] == after[name] for name in frozen), kind
            changed = {name for name in before if before[name] != after[name]}
            assert bool(changed) != (kind == "blocks"), kind  # new blocks alone learn there
            assert architecture(folder) == architecture(base), kind
            looked_at += 1
    assert looked_at == len(RESULTS) + 1


@pytest.mark.parametrize("model_type", ["llava", "qwen3_moe"])
def test_a_full_run_goes_on_from_its_checkpoint_to_the_bit(
    model_type: str, workspace: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers' Trainer (5.23) reads a checkpoint by the names of the model; where those of the
    file are others (LLaVA's language_model.model.*, the single experts of a Qwen3-MoE) it passes
    over them with a warning, and the run begins anew from the base."""
    options: dict[str, Any] = {"finetuning_type": "full", "max_steps": 4, "learning_rate": 0.01}
    options |= {"save_steps": 100, "disable_gradient_checkpointing": True}
    whole = train_small(workspace, make(model_type), "whole", **options)

    def progress(self: Report, now: int, total: int, **extra: Any) -> None:
        if now == 2:
            (self.folder / "stop.json").write_text("{}")

    with monkeypatch.context() as patch:
        patch.setattr(Report, "progress", progress)
        with pytest.raises(Stopped):
            train_small(workspace, make(model_type), "parts", **options)
    parts = workspace / "saves" / "parts"
    (parts / "stop.json").unlink()
    train_small(workspace, make(model_type), "parts", resume_from_checkpoint="auto", **options)
    assert tensors_of(parts) == tensors_of(whole)


def test_the_best_model_is_read_back(workspace: Path, make: Make) -> None:
    """The same passing over, at load_best_model_at_end: the result was the last model, not the
    best one. Here the first evaluation is the best, since the steps are far too large."""
    options: dict[str, Any] = {"finetuning_type": "full", "max_steps": 3, "learning_rate": 10.0}
    options |= {"val_size": 0.2, "eval_steps": 1, "save_steps": 1, "load_best_model_at_end": True}
    folder = train_small(workspace, make("llava"), **options, lr_scheduler_type="constant")
    state = json.loads((folder / "checkpoint-3" / "trainer_state.json").read_text())
    best = Path(state["best_model_checkpoint"])
    assert best.name != "checkpoint-3"
    assert tensors_of(folder) == tensors_of(best)


def test_an_adapter_is_on_the_language_model_alone(workspace: Path, make: Make) -> None:
    """SmolVLM's tower has a q_proj, too; peft's "all-linear" would take the connector as well."""
    base = make("smolvlm")
    cases = {"all": "all", "some": "q_proj,v_proj", "saved": "all"}
    for name, target in cases.items():
        more = {"additional_target": "embed_tokens,lm_head"} if name == "saved" else {}
        run = train_small(workspace, base, name, max_steps=1, lora_target=target, **more)
        names = load_file(run / "adapter_model.safetensors").keys()
        place = "base_model.model.model.text_model.layers."
        other = {each for each in names if not each.startswith(place)}
        assert other == (
            {
                "base_model.model.model.text_model.embed_tokens.weight",
                "base_model.model.lm_head.weight",
            }
            if name == "saved"
            else set()
        )
        modules = {each.split(".")[-3] for each in names if "lora_A" in each}
        expected = {"q_proj", "v_proj"} if name == "some" else {"q_proj", "down_proj", "gate_proj"}
        assert expected <= modules
    with pytest.raises(TuneboardError) as caught:
        train_small(workspace, base, "tower", lora_target="out_proj")
    assert (caught.value.problems[0].code, caught.value.problems[0].field) == (
        "modules_unknown",
        "lora_target",
    )


STAGES: dict[str, dict[str, Any]] = {
    "rm": {"stage": "rm", "dataset": "pairs", "finetuning_type": "full"},
    "dpo": {"stage": "dpo", "dataset": "pairs"},
    "kto": {"stage": "kto", "dataset": "judged"},
    "ppo": {"stage": "ppo", "max_new_tokens": 4},
    "grpo": {
        "stage": "grpo",
        "max_new_tokens": 4,
        "reward_functions": "length",
        "num_generations": 2,
    },
}


def test_every_stage_trains_and_keeps_them(workspace: Path, make: Make) -> None:
    base = make("qwen3_5")
    before, frozen = tensors_of(base), others(base)
    register(workspace)
    for stage, options in STAGES.items():
        more = {"reward_model": str(workspace / "saves" / "reward")} if stage == "ppo" else {}
        name = "reward" if stage == "rm" else stage
        more |= {"reward_model_type": "full", "finetuning_type": "full"} if stage == "ppo" else {}
        run = train_small(workspace, base, name, max_steps=1, **options, **more)
        folder = exported(workspace, base, run) if (run / "adapter_config.json").is_file() else run
        after = tensors_of(folder)
        assert before.keys() == after.keys(), stage
        assert all(before[each] == after[each] for each in frozen), stage
        assert architecture(folder) == architecture(base)


def test_what_transformers_leaves_out_is_in_every_full_result(workspace: Path, make: Make) -> None:
    """Qwen3.5's files hold a draft head (mtp.*), which its class leaves out by its own rule
    (_keys_to_ignore_on_load_unexpected)."""
    base = workspace / "drafting"
    shutil.copytree(make("qwen3_5"), base)
    draft = {"mtp.layers.0.mlp.up_proj.weight": torch.rand(4, 6), "mtp.norm.weight": torch.rand(6)}
    save_file(load_file(base / WEIGHTS) | draft, base / WEIGHTS, metadata={"format": "pt"})
    before = tensors_of(base)
    for kind in ("full", "lora", "dora"):
        run = train_small(workspace, base, kind, max_steps=1, **RESULTS[kind])
        folder = run if kind == "full" else exported(workspace, base, run)
        after = tensors_of(folder)
        assert before.keys() == after.keys(), kind
        assert all(before[name] == after[name] for name in draft), kind
        notices = {
            row["code"]: row["params"]
            for row in json.loads((run / "status.json").read_text())["notices"]
        }
        assert notices["tensors_beside"] == {"count": 2, "name": "mtp.layers.0.mlp.up_proj.weight"}
        assert notices["parts_frozen"]["parts"] == "model.visual"
        loaded, _ = parse({"model_name_or_path": str(folder)}, "chat")
        load.model(resolve(loaded), training=False)


def test_what_cannot_be_kept_whole_is_refused_before_data_is_read(
    workspace: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kinds of checkpoint of which some class of transformers takes a part, or begins a part at
    random; the data is not looked at before."""
    monkeypatch.setattr("backend.data.prepare.prepare_training", None)
    from transformers import BartForConditionalGeneration

    bart = workspace / "bart"  # AutoModelForCausalLM takes its decoder alone
    BartForConditionalGeneration(shrink.shrunk("bart", make_tokenizer())).save_pretrained(bart)
    tower = workspace / "tower"  # of a larger model, saved by itself
    shutil.copytree(make("llava"), tower)
    config = {"model_type": "git_vision_model", "architectures": ["GitVisionModel"]}
    (tower / "config.json").write_text(json.dumps(config))
    for folder, code in {
        make("t5"): "model_encoder_decoder",
        bart: "model_encoder_decoder",
        make("speech_to_text"): "model_encoder_decoder",
        make("blip-2"): "model_not_on_text",  # forward(pixel_values)
        tower: "model_not_language",
    }.items():
        assert refusal(workspace, folder) == code, folder
    half = workspace / "half"
    shutil.copytree(make("llava"), half)
    weights = load_file(half / WEIGHTS)
    text = {name: each for name, each in weights.items() if name.startswith("language_model")}
    assert 10 < len(text) < len(weights)
    save_file(text, half / WEIGHTS, metadata={"format": "pt"})
    assert refusal(workspace, half) == "model_tensors_missing"
    more = {"second_tower.weight": torch.rand(3, 3)}
    save_file(weights | more, half / WEIGHTS, metadata={"format": "pt"})
    assert refusal(workspace, half) == "model_tensors_lost"


@pytest.mark.parametrize(
    ("model_type", "code"),
    [("kosmos-2", "model_not_on_text"), ("paligemma", "model_looks_ahead")],
)
def test_what_is_no_language_model_by_itself_is_refused(
    model_type: str, code: str, workspace: Path, make: Make
) -> None:
    """Kosmos-2 raises without a picture; PaliGemma without one reads all text both ways."""
    assert refusal(workspace, make(model_type)) == code


def test_a_reader_of_both_directions_is_refused(workspace: Path) -> None:
    """bert-base-uncased loads as BertLMHeadModel, whose is_decoder false sees what comes after."""
    folder = workspace / "bert"
    folder.mkdir()
    shrink.save("bert", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "is_decoder": False}))
    assert refusal(workspace, folder) == "model_looks_ahead"


def test_quantizing_in_the_export_is_refused(workspace: Path, make: Make) -> None:
    texts = workspace / "texts.jsonl"
    texts.write_text('{"text": "fine weather"}\n')
    with pytest.raises(TuneboardError) as caught:
        exported(
            workspace,
            make("llava"),
            Path("none"),
            adapter_name_or_path=None,
            export_quantization_bit="4",
            export_quantization_dataset=str(texts),
        )
    assert caught.value.problems[0].code == "export_quantization_sees"


def refusal(home: Path, base: Path) -> str:
    """The code of what keeps a model from being trained."""
    with pytest.raises(TuneboardError) as caught:
        train_small(home, base)
    problem = caught.value.problems[0]
    assert str(base) in problem.text()
    assert problem.field == "model_name_or_path"
    shutil.rmtree(home / "saves" / "run")
    return problem.code
