"""Evaluation during a training and after it."""

from backend.contract.arguments.field_group import FieldGroup

BOTH = ("train", "eval")
EVALUATION = FieldGroup("evaluation")


FIELDS = (
    EVALUATION.count(
        "per_device_eval_batch_size", 2, 1, 1024, tasks=BOTH, to="per_device_eval_batch_size"
    ),
    EVALUATION.field("eval_strategy", "choice", None, choices=("no", "steps", "epoch")),
    EVALUATION.count("eval_steps", None, 1, 10**9),
    EVALUATION.switch("load_best_model_at_end"),
    EVALUATION.count("early_stopping_steps", None, 1, 10_000),
    EVALUATION.switch("compute_accuracy"),
    EVALUATION.switch("do_predict", tasks=("train", "eval")),
    EVALUATION.switch("predict_with_generate", tasks=BOTH, widget="none"),
)
