"""Import what a run needs of the training stack in less time: no unused packages, no collector.

With a package installed, peft imports bitsandbytes, transformers torchao and scipy, and accelerate
deepspeed, whether the run uses them or not; together they take longer than torch. A name that is
None in sys.modules counts as not installed ("The import system" in Python's reference).

Imports make hundreds of thousands of objects that all stay, and the garbage collector looks through
them again and again; it waits, and afterwards leaves them out.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backend.contract.arguments.argument_names import ArgumentName
from backend.contract.arguments.fields.training import OPTIMIZERS
from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder
from backend.contract.preflight.preflight import PACKAGES
from backend.contract.preflight.requirements import BITS, quantization_of

OPTIONAL = ("bitsandbytes", "deepspeed", "torchao")
LOSSES = "scipy"  # what transformers needs it for: losses of models that find things in pictures
MODELS: tuple[ArgumentName, ...] = (
    *("model_name_or_path", "ref_model", "reward_model", "teacher_model"),
)


@contextmanager
def quick_imports(values: Arguments) -> Iterator[None]:
    """Hide unused packages and stop the garbage collector while the block imports torch and more.

    scipy is there again after the block; optional packages that the run does not use stay hidden,
    as the libraries look for them when a model is loaded, too. Where torch is there already, all is
    left as it is.
    """
    modules: Any = sys.modules
    if "torch" in modules:
        yield
        return
    hidden = {LOSSES, *(() if may_use_optional(values) else OPTIONAL)} - modules.keys()
    modules.update(dict.fromkeys(hidden))
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        if LOSSES in hidden:
            del modules[LOSSES]


def may_use_optional(values: Arguments) -> bool:
    """Whether a run may use an optional package: a quantized model or optimizer, another engine,
    code of a model; also where a model is in no folder here, as nothing is known of it then."""
    return bool(
        values.deepspeed
        or values.trust_remote_code
        or OPTIMIZERS.get(values.optim)
        or any(values[field] for field in BITS)
        or any(values[field] in needing for field, needing, _, _ in PACKAGES)
        or any(values[field] and _may_be_quantized(str(values[field])) for field in MODELS)
    )


def _may_be_quantized(name: str) -> bool:
    folder = model_folder.local(name)
    if not (folder / model_folder.CONFIG).is_file():  # an adapter, or a name on a hub
        folder = model_folder.local(model_folder.adapter_base(folder) or name)
    return not (folder / model_folder.CONFIG).is_file() or bool(quantization_of(folder))
