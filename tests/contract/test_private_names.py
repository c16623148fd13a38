"""Private members of other libraries that our code overrides, reads, calls or writes.

A release may rename or drop any of them without a word: here it fails, with the place to look at.
Found by private_uses, which says what it does not see. Checked with transformers 5.23, trl 1.16
and torch 2.13. Of Gradio there is none.
"""

import ast
import inspect

import pytest

from tests.contract import private_uses
from tests.contract.private_uses import class_at, has
from tests.contract.source import trees

TRAINER = "transformers.trainer.Trainer"
ONLINE = "trl.experimental.online_dpo.online_dpo_trainer.OnlineDPOTrainer"
DISTILLATION = "trl.trainer.distillation_trainer.DistillationTrainer"
RLOO = "trl.trainer.rloo_trainer.RLOOTrainer"

# Of classes that ours stand on: class -> member -> our modules.
INHERITED = {
    TRAINER: {
        "_determine_best_metric": "training/trainer",
        "_evaluate": "training/trainer",
        "_finalize_training": "training/resuming",
        "_get_num_items_in_batch": "training/preference",
        "_get_train_sampler": "training/resuming training/rollout_trainer training/trl_run",
        "_globalstep_last_logged": "training/resuming",
        "_init_training_state": "training/resuming",
        "_initial_global_step": "training/resuming",
        "_load_best_model": "training/trainer",
        "_load_callback_state": "training/resuming",
        "_load_from_checkpoint": "training/trainer",
        "_load_optimizer_and_scheduler": "training/resuming",
        "_prepare_inputs": "stages/kto training/preference training/token_loss training/trl_online",
        "_run_epoch": "training/resuming training/rollout_trainer training/trl_run",
        "_save": "training/trainer",
        "_save_checkpoint": "training/rollout_trainer training/trainer training/trl_run",
        "_save_rng_state": "training/rollout_trainer training/trl_run",
        "_total_loss_scalar": "training/resuming",
        "_tr_loss": "training/resuming training/trl_run",
        "_track_num_input_tokens": "training/trainer training/trl_run",
    },
    ONLINE: {
        "_generate": "stages/online_dpo training/trl_run",
        "_tokenizer": "training/trl_online training/trl_run",
    },
    "trl.trainer.base_trainer._BaseTrainer": {"_send_telemetry": "training/trl_run"},
    DISTILLATION: {
        "_buffered_inputs": "training/trl_run",
        "_compute_loss": "stages/distillation",
        "_generate": "training/trl_run",
        "_generate_and_score_completions": "stages/distillation",
        "_generate_single_turn": "stages/distillation",
        "_metrics": "training/trl_run",
        "_step": "training/trl_run",
        "_tokenizer": "stages/distillation training/trl_run",
    },
    RLOO: {
        "_buffered_inputs": "training/trl_run",
        "_generate": "training/trl_run",
        "_metrics": "stages/rloo training/trl_online training/trl_run",
        "_step": "training/trl_run",
        "_tokenizer": "training/trl_online training/trl_run",
    },
}

# Of other objects: class -> member -> our modules. `_total_loss_scalar` and `_save_checkpoint` are
# reached from outside, too, which private_uses takes for our own.
REACHED = {
    "transformers.training_args.TrainingArguments": {"_n_gpu": "backend/training/arguments"},
    "transformers.configuration_utils.PreTrainedConfig": {"_name_or_path": "backend/cli/starter"},
    "transformers.modeling_utils.PreTrainedModel": {
        "_supports_attention_backend": "backend/model/attention"
    },
    "torch.optim.lr_scheduler.LambdaLR": {"_last_lr": "backend/training/resuming"},
}

# Arguments that our overrides read by their names: method -> names.
READ_BY_NAME = {
    f"{TRAINER}._run_epoch": {
        *("epoch", "epochs_trained", "steps_trained_in_current_epoch", "train_dataloader"),
        *("num_update_steps_per_epoch", "steps_in_epoch", "trial"),
    },
}


@pytest.fixture(scope="module")
def uses() -> dict[str, set[str]]:
    classes = list(private_uses.our_classes(trees()))
    assert len(classes) > 40
    return private_uses.inherited(classes)


def test_the_list_is_what_our_classes_use(uses: dict[str, set[str]]) -> None:
    listed = {
        f"{path}.{name}": {f"backend/{file}.py" for file in files.split()}
        for path, members in INHERITED.items()
        for name, files in members.items()
    }
    assert uses == listed


def test_the_list_is_what_we_reach_on_other_objects() -> None:
    listed = {
        name: {f"{file}.py" for file in files.split()}
        for members in REACHED.values()
        for name, files in members.items()
    }
    assert private_uses.reached(trees()) == listed


def test_every_member_is_still_there() -> None:
    members = [
        (path, name) for table in (INHERITED, REACHED) for path in table for name in table[path]
    ]
    assert len(members) >= 40
    for path, name in members:
        classes = class_at(path).__mro__
        assert any(has(each, name) for each in classes), f"{path}.{name} is gone"


def test_our_overrides_take_what_the_libraries_pass(uses: dict[str, set[str]]) -> None:
    """By place and by name: each parameter of the library's method is one of ours, too, or falls
    into *args and **kwargs."""
    overrides, refused = set(), set()
    for cls in private_uses.our_classes(trees()):
        for path, _, name in (key.rpartition(".") for key in uses):
            theirs = class_at(path)
            own = [vars(each)[name] for each in private_uses.ours(cls) if name in vars(each)]
            for method in own if issubclass(cls, theirs) else []:
                names = [*inspect.signature(getattr(theirs, name)).parameters][1:]
                taken = inspect.signature(method)
                overrides.add(method)
                try:
                    taken.bind(None, *names)
                    taken.bind(None, **dict.fromkeys(names))
                except TypeError as error:
                    refused.add(f"{method.__qualname__}{taken}: {error}, of {path}: {names}")
    assert not refused
    assert len(overrides) > 20


def test_arguments_that_are_read_by_name() -> None:
    for key, names in READ_BY_NAME.items():
        path, _, method = key.rpartition(".")
        assert names <= set(inspect.signature(getattr(class_at(path), method)).parameters), key


def test_a_use_that_the_list_lacks_is_seen() -> None:
    """In a class of ours an override and an attribute, elsewhere an attribute and a string."""
    source = "def spy(other):\n    other._gone += 1\n    return getattr(other, '_lost'), other._spy"
    tree = ast.parse(f"{source}\n\ndef _spy(): ...")
    assert private_uses.reached({"x.py": tree}) == {"_gone": {"x.py"}, "_lost": {"x.py"}}
    from tests.contract.private_sample import Sample

    names = {f"{TRAINER}.{name}" for name in ("_remove_unused_columns", "_train_batch_size")}
    file = "tests/contract/private_sample.py"
    assert private_uses.inherited([Sample]) == {name: {file} for name in names}
