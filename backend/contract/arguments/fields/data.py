"""Data: which rows are used, how they become tokens, and which tokens are learned."""

from backend.contract.arguments.field import FieldGroup

BOTH = ("train", "eval")
READ = (*BOTH, "vocab")
DATA = FieldGroup("data")


FIELDS = (
    DATA.field(
        "stage",
        "choice",
        "sft",
        choices=(
            "pt",
            "sft",
            "rm",
            "ppo",
            "dpo",
            "kto",
            "grpo",
            "rloo",
            "online_dpo",
            "distillation",
        ),
        tasks=BOTH,
    ),
    DATA.field("dataset_dir", "path", "data", tasks=READ),
    DATA.field("dataset", "list", None, tasks=("train", "vocab"), widget="dataset"),
    DATA.field("eval_dataset", "list", None, tasks=BOTH, widget="dataset"),
    DATA.number("val_size", 0.0, 0, 1_000_000),
    DATA.count("cutoff_len", 2048, 4, 131_072, tasks=BOTH),
    DATA.count("max_samples", None, 1, 10**9, tasks=READ),
    DATA.field("identity_name", "text", "Tuneboard Assistant", tasks=BOTH),
    DATA.field("identity_author", "text", "the Tuneboard team", tasks=BOTH),
    DATA.switch("train_on_prompt", (("stage", ("sft",)),)),
    DATA.switch("mask_history", (("stage", ("sft",)),)),
    DATA.switch("strict_turns", tasks=BOTH),
    DATA.field("packing", "bool", None, (("stage", ("pt", "sft")),)),
    DATA.switch("neat_packing", (("stage", ("sft",)),)),
    DATA.choice(
        "mix_strategy", ("concat", "interleave_under", "interleave_over", "interleave_once")
    ),
    DATA.field(
        "interleave_probs",
        "numbers",
        None,
        (("mix_strategy", ("interleave_under", "interleave_over", "interleave_once")),),
        low=1e-9,
        high=1e9,
    ),
    DATA.switch("streaming"),
    DATA.count("buffer_size", 16384, 1, 10**7, (("streaming", (True,)),)),
    DATA.field("tokenized_path", "path", None),
    DATA.field("enable_thinking", "bool", None, tasks=("train", "eval", "chat", "api")),
    DATA.field("group_by_length", "bool", True),
    DATA.switch("disable_shuffling"),
    DATA.count("preprocessing_num_workers", None, 1, 256, tasks=BOTH),
    DATA.count("preprocessing_batch_size", 1000, 1, 1_000_000, tasks=BOTH),
    DATA.switch("overwrite_cache", tasks=BOTH, widget="none"),
    DATA.count("dataloader_num_workers", 0, 0, 64, tasks=BOTH, to="dataloader_num_workers"),
)
