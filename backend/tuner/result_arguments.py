"""The arguments with which the result of a training is loaded for scores, chat and export."""

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.methods import is_adapter
from backend.contract.base.home import relative
from backend.contract.models.model_folder import ADAPTER_CONFIG, adapter_base, local
from backend.contract.registry import dataset_info
from backend.contract.runs.run_folder import RunView

# Arguments of a training that hold for its result, too, beside those about the model.
GROUPS = {"model", "quantization"}
SHARED = ("dataset_dir", "cutoff_len", "enable_thinking", "identity_name", "identity_author")
EVALUATED = ("pt", "rm")  # stages that can be evaluated beside sft


def arguments_of(view: RunView) -> dict[str, object]:
    """Raw values by the names of the argument table: model, adapters, how they are loaded, and the
    evaluation data of the training."""
    trained_with = view.arguments
    used = {
        name: value
        for name, value in trained_with.items()
        if name in FIELDS and (FIELDS[name].group in GROUPS or name in SHARED)
    }
    if trained_with.get("eval_dataset"):
        used["eval_dataset"] = trained_with["eval_dataset"]
    used["stage"] = trained_with["stage"] if trained_with.get("stage") in EVALUATED else "sft"
    folder = relative(view.path)
    if not is_adapter(trained_with.get("finetuning_type")):
        return {**used, "model_name_or_path": folder, "adapter_name_or_path": None}
    before = dataset_info.names(trained_with.get("adapter_name_or_path"))
    if not trained_with.get(
        "create_new_adapter"
    ):  # the last adapter was trained further and is in the new folder
        model = local(str(trained_with["model_name_or_path"]))
        if not before and (model / ADAPTER_CONFIG).is_file():
            used["model_name_or_path"] = adapter_base(model)
        before = before[:-1]
    return {**used, "adapter_name_or_path": [*before, folder]}
