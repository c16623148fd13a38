"""With which arguments the result of a training is loaded again: for scores, chat and export."""

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.methods import is_adapter
from backend.contract.base.home import relative
from backend.contract.models.model_folder import ADAPTER_CONFIG, adapter_base, local
from backend.contract.registry import dataset_info
from backend.contract.runs.run_folder import RunView

# Arguments of a training that its result is used with, too, beside all that is about the model.
GROUPS = {"model", "quantization"}
SHARED = ("dataset_dir", "cutoff_len", "enable_thinking", "identity_name", "identity_author")
EVALUATED = ("pt", "rm")  # stages that an evaluation knows beside sft


def arguments_of(view: RunView) -> dict[str, object]:
    """Raw values by the names of the table: model, adapters, how they are loaded, the data that
    was held out."""
    given = view.arguments
    used = {
        name: value
        for name, value in given.items()
        if name in FIELDS and (FIELDS[name].group in GROUPS or name in SHARED)
    }
    if given.get("eval_dataset"):
        used["eval_dataset"] = given["eval_dataset"]
    used["stage"] = given["stage"] if given.get("stage") in EVALUATED else "sft"
    folder = relative(view.path)
    if not is_adapter(given.get("finetuning_type")):
        return {**used, "model_name_or_path": folder, "adapter_name_or_path": None}
    before = dataset_info.names(given.get("adapter_name_or_path"))
    if not given.get(
        "create_new_adapter"
    ):  # the last one went on learning: the new folder holds it
        model = local(str(given["model_name_or_path"]))
        if not before and (model / ADAPTER_CONFIG).is_file():
            used["model_name_or_path"] = adapter_base(model)
        before = before[:-1]
    return {**used, "adapter_name_or_path": [*before, folder]}
