"""Export a model with its adapters merged, in one folder that needs nothing else.

The whole folder appears at the end; a failure, a stop or a full disk leaves nothing of it.
"""

import json
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.fields.serving import GPTQ_BITS, K_QUANTS, ROUNDED
from backend.contract.arguments.typed import Arguments
from backend.contract.folders.home import output
from backend.contract.models import model_folder
from backend.contract.runs import run_folder
from backend.contract.system.files import read_json, write_atomic
from backend.contract.texts.problems import ModelError, Problem, UsageError
from backend.contract.texts.terminal_text import decimal_size
from backend.data import templates
from backend.data.rendering import Template
from backend.export import gptq, merging, model_card, modelfile, publishing
from backend.export.compressed import Compression
from backend.export.gguf import gguf_file, k_quants, lora_file
from backend.export.gguf.gguf_file import GgufModel
from backend.export.gguf.lora_file import GgufLora
from backend.export.new_folder import new_model_folder, require_free, require_room
from backend.model import adapters, load, saved_weights, side_files
from backend.model.architecture import Architecture, detect
from backend.model.tensors import dtype_of, layout
from backend.running.report import Report

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
GIGABYTE = 10**9  # bytes
SAFETENSORS = "safetensors"  # the value of export_format


@dataclass(frozen=True)
class Plan:
    """The base model of an export, its adapters in order, the new dtype (None: each tensor keeps
    its own), and how weights are rounded (None: they are not)."""

    base: Path
    architecture: Architecture
    adapters: Sequence[Path]
    dtype: torch.dtype | None
    target: Path
    compression: Compression | None = None

    @property
    def size(self) -> int:
        """Bytes of the weights that will be written."""
        return sum(tensor.size_as(self.dtype) for tensor in self.architecture.tensors.values())


def run(values: Arguments, folder: Path) -> None:
    """Export as `values` say into export_dir; `folder` is the run's own, for reports.

    Raises TuneboardError for what the person can act on, and Stopped.
    """
    began = time.monotonic()
    report = Report(folder)
    report.phase("loading")
    plan = _plan(values)
    for notice in load.base_notices(values):
        report.notice(notice)
    tokenizer = load.tokenizer(values)
    template = templates.load(values, tokenizer)
    for notice in template.notices:
        report.notice(notice)
    gguf_model = _gguf_model(plan, values, template)
    size = gguf_model.size if gguf_model else plan.size
    if values.export_format == gguf_file.FORMAT and values.gguf_type in K_QUANTS:
        size += size // 2  # both files for a while
    require_room(plan.target, size)
    with new_model_folder(values, plan.target, size) as new_folder:
        report.phase("exporting")
        if isinstance(gguf_model, GgufLora):
            name = lora_file.file_name(plan.target.name)
            gguf_model.write(new_folder / name, plan.target.name, report.progress)
        elif gguf_model:
            _write_gguf(gguf_model, plan, values, new_folder, report)
        elif values.export_quantization_bit in GPTQ_BITS:
            gptq.quantize(plan.base, new_folder, tokenizer, values)
        else:
            _write_weights(plan, values, new_folder, report)
        report.phase("saving")
        if not gguf_model:
            _write_settings(values, new_folder, template)
        _write_card(plan, values, new_folder)
    weights = [*plan.target.glob("*.safetensors"), *plan.target.glob("*.gguf")]
    size = sum(path.stat().st_size for path in weights)
    results = {"bytes": size, "seconds": time.monotonic() - began}
    write_atomic(folder / run_folder.RESULTS, json.dumps(results, indent=2))
    params = {"path": str(plan.target), "size": decimal_size(size)}
    report.notice(Problem(code="exported", params=params, notice=True))
    for command in _commands(plan, values):
        report.notice(Problem(code="exported_use", params={"command": command}, notice=True))
    if values.export_hub_model_id:
        _push(plan, str(values.export_hub_model_id), report)


def _commands(plan: Plan, values: Arguments) -> list[str]:
    """The lines that run the result in other programs, ready to copy."""
    target = plan.target
    if values.export_format == lora_file.FORMAT:
        file = target / lora_file.file_name(target.name)
        commands = [["llama-server", "-m", f"{plan.base.name}.gguf", "--lora", str(file)]]
    elif values.export_format == gguf_file.FORMAT:
        file = target / gguf_file.file_name(target.name, values.gguf_type)
        commands = [["llama-server", "-m", str(file)]]
    else:
        commands = [["vllm", "serve", str(target)]]
        if not values.export_quantization_bit:
            commands.append(["mlx_lm.server", "--model", str(target)])
    if _has_modelfile(values):
        name = target.name.lower()  # as Ollama's names are
        commands.append(["ollama", "create", name, "-f", str(target / modelfile.NAME)])
    return [shlex.join(command) for command in commands]


def _has_modelfile(values: Arguments) -> bool:
    """Whether Ollama can import the result, and this is wanted."""
    return values.export_modelfile and FIELDS["export_modelfile"].active(
        values.as_mapping(), "export"
    )


def _push(plan: Plan, name: str, report: Report) -> None:
    report.phase("uploading")
    place = publishing.push(plan.target, name, "export_hub_model_id")
    report.notice(Problem(code="hub_pushed", params={"name": place}, notice=True))


def _plan(values: Arguments) -> Plan:
    """Check everything that can be refused, before anything is loaded or written.

    Raises UsageError, ModelError or DiskFullError.
    """
    require_free(values)
    target = output(str(values.export_dir))
    base = load.base_folder(values)
    if read_json(base / "config.json").get("quantization_config"):
        params = {"path": str(base)}
        raise ModelError(
            Problem(code="export_quantized", field="model_name_or_path", params=params)
        )
    folders = load.adapter_folders(values)
    adapters.require_mergeable(folders)
    dtype = DTYPES.get(values.export_dtype)
    plan = Plan(base, load.base_architecture(values), folders, dtype, target)
    if plan.architecture.sees and values.export_quantization_bit:
        problem = Problem(code="export_quantization_sees", field="export_quantization_bit")
        raise UsageError(problem)
    if folders and values.export_quantization_bit in GPTQ_BITS:
        problem = Problem(code="export_quantization_and_adapter", field="export_quantization_bit")
        raise UsageError(problem)
    if values.export_quantization_bit in ROUNDED:
        return replace(plan, compression=Compression.of(plan.architecture, values))
    return plan


def _gguf_model(plan: Plan, values: Arguments, template: Template) -> GgufModel | GgufLora | None:
    """What is written as GGUF, if that is the format. Raises UsageError, or ModelError where it
    cannot be."""
    if values.export_format == lora_file.FORMAT:
        return GgufLora.of(plan.architecture, load.read_config(values), plan.adapters)
    if values.export_format != gguf_file.FORMAT:
        return None
    config = load.read_config(values)
    return _gguf_of(plan.architecture, config, values, template)


def _gguf_of(
    architecture: Architecture, config: Any, values: Arguments, template: Template
) -> GgufModel:
    beside = set(architecture.beside)
    tensors = {name: each for name, each in architecture.tensors.items() if name not in beside}
    carried = templates.result_template(template, values)
    name = architecture.kind.__name__
    kind = k_quants.source_kind(values.gguf_type, dtype_of(architecture.tensors))
    return GgufModel.of(kind, name, config, tensors, carried)


def _write_gguf(
    model: GgufModel, plan: Plan, values: Arguments, new_folder: Path, report: Report
) -> None:
    """Write the file and its Modelfile; adapters that are no plain LoRA are merged on disk first,
    in a folder beside, which is removed at the end."""
    deltas = merging.plain_deltas(
        plan.adapters, plan.architecture.tensors, plan.architecture.renamed
    )
    if deltas is None:
        whole = _merge_beside(plan, values, new_folder)
        architecture = detect(whole, trust=False)
        config = AutoConfig.from_pretrained(whole)
        model = _gguf_of(architecture, config, values, model.template)
    name = gguf_file.file_name(plan.target.name, values.gguf_type)
    is_k_quant = values.gguf_type in K_QUANTS
    file = new_folder.with_name(f".{name}.source") if is_k_quant else new_folder / name
    model.write(file, plan.target.name, deltas or {}, report.progress)
    if is_k_quant:
        k_quants.quantize(file, new_folder / name, values.gguf_type, report)
    if values.export_modelfile:
        text = modelfile.modelfile(model.template, values, model.context, f"./{name}")
        (new_folder / modelfile.NAME).write_text(text, encoding="utf-8")


def _merge_beside(plan: Plan, values: Arguments, new_folder: Path) -> Path:
    """The hidden folder, removed at the end, of a model into which adapters of any kind are
    merged."""
    whole = new_folder.with_name(f".{new_folder.name}.merged")
    options = merging.WriteOptions(None, int(values.export_size * GIGABYTE), "cpu", _quiet)
    _merge_with_peft(plan, values, whole, options)
    return whole


def _quiet(_done: int, _total: int) -> None:
    """Progress that nobody reads."""


def _write_weights(plan: Plan, values: Arguments, new_folder: Path, report: Report) -> None:
    """Write weights and config.json, tensor by tensor where the adapters are plain LoRA."""

    def progress(done: int, total: int) -> None:
        report.progress(done, total)  # raises Stopped

    shard = int(values.export_size * GIGABYTE)
    device = load.device() if values.export_device == "auto" else "cpu"
    options = merging.WriteOptions(
        plan.dtype, shard, "cpu" if device == "mps" else device, progress, plan.compression
    )
    base, tensors = plan.base, plan.architecture.tensors
    deltas = merging.plain_deltas(plan.adapters, tensors, plan.architecture.renamed)
    if deltas is None and not plan.compression:
        _merge_with_peft(plan, values, new_folder, options)
        return
    if deltas is None:
        base = _merge_beside(plan, values, new_folder)
        tensors, deltas = layout(base), {}
    merging.write(tensors, deltas, new_folder, options)
    config = read_json(base / "config.json")
    if plan.dtype is not None:
        config.pop("torch_dtype", None)
        config |= {"dtype": str(plan.dtype).removeprefix("torch.")}
    if plan.compression:
        config["quantization_config"] = plan.compression.config
    (new_folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    if values.trust_remote_code:  # to be there when config.json is read
        for code in plan.base.glob("*.py"):
            shutil.copy(code, new_folder)


def _merge_with_peft(
    plan: Plan, values: Arguments, new_folder: Path, options: merging.WriteOptions
) -> None:
    """Merge any kind of adapter that peft can merge, with the whole model in memory."""
    stored = dtype_of(plan.architecture.tensors)
    exact = torch.promote_types(stored, plan.dtype or stored)
    model = load.base_model(values, dtype=exact).to(options.device)
    if any(_touches_embeddings(adapter, model) for adapter in plan.adapters):
        _untie(model)
    total = len(plan.adapters) + 1
    for done, adapter in enumerate(plan.adapters, start=1):
        model = adapters.merge(model, [adapter])
        options.progress(done, total)
    model = model.to("cpu", plan.dtype or exact)
    model.config.dtype = plan.dtype or exact
    model.generation_config = GenerationConfig()  # the base's own is written in _write_settings
    saved_weights.save(model, new_folder, dtype=plan.dtype, shard=options.shard)
    options.progress(total, total)


def _touches_embeddings(adapter: Path, model: Any) -> bool:
    """Whether an adapter changes the embeddings or the output layer, and not both as one."""
    settings = read_json(adapter / model_folder.ADAPTER_CONFIG)
    if settings.get("ensure_weight_tying"):
        return False
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    own = {name for name, part in model.named_modules() if any(part is end for end in ends)}
    lists = [settings.get(key) for key in ("target_modules", "modules_to_save")]
    targets = {each for modules in lists for each in (modules if isinstance(modules, list) else [])}
    return any(name == each or name.endswith(f".{each}") for name in own for each in targets)


def _untie(model: Any) -> None:
    """Give the output layer weights of its own, which a merge into the embeddings leaves alone."""
    head = model.get_output_embeddings()
    if head is not None and head.weight is model.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())
        model.config.get_text_config().tie_word_embeddings = False
        model.config.tie_word_embeddings = False
        model.all_tied_weights_keys = {}


def _write_settings(values: Arguments, new_folder: Path, template: Template) -> None:
    """Write what the base has beside its weights, and Ollama's Modelfile."""
    config = AutoConfig.from_pretrained(new_folder, trust_remote_code=values.trust_remote_code)
    carried = templates.result_template(template, values)
    ends = [*carried.answer_ends, *template.answer_ends]
    side_files.SideFiles.of(values, template.tokenizer, template.name, ends).write(
        new_folder, whole=True
    )
    if _has_modelfile(values):
        context = getattr(config.get_text_config(), "max_position_embeddings", modelfile.CONTEXT)
        text = modelfile.modelfile(carried, values, context)
        (new_folder / modelfile.NAME).write_text(text, encoding="utf-8")


def _write_card(plan: Plan, values: Arguments, folder: Path) -> None:
    """Write the model card: what was merged into what, how it is run, and how it was trained."""
    base = model_card.Base(model_card.public_name(load.base_name(values)), plan.base)
    names = ", ".join(each.name for each in plan.adapters) or "none"
    bits = values.export_quantization_bit
    stored = plan.dtype or dtype_of(plan.architecture.tensors)
    dtype = str(stored).removeprefix("torch.")
    if bits:
        dtype = f"GPTQ {bits} bit" if bits in GPTQ_BITS else f"{bits.upper()}, compressed-tensors"
    role, library = "merged adapters", "transformers"
    use = f"```python\n{model_card.loading_code()}\n```"
    if values.export_format != SAFETENSORS:
        commands = "\n".join(_commands(plan, values)).replace(f"{plan.target}/", "")
        use, library, dtype = f"```sh\n{commands}\n```", "gguf", f"GGUF {values.gguf_type}"
    if values.export_format == lora_file.FORMAT:
        role, dtype = "not merged, the adapters", "GGUF f32"
    about = f"Exported with Tuneboard: base model {base.name}, {role}: {names}, {dtype}.\n\n{use}"
    sources = [plan.base, *plan.adapters]
    model_card.write_export_card(folder, plan.target.name, base, sources, about, library)
