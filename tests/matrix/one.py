"""One architecture through the whole way: `python -m tests.matrix.one TYPE` prints what held."""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.contract.arguments.arguments import resolve
from backend.contract.texts.problems import TuneboardError
from tests.matrix import shrink

STEPS = ("build", "train", "reload", "merge", "chat")
WHOLE = (*STEPS, "full")  # of models that also see or hear
TOLERANCE = 1e-3  # of a logit: merged weights against base and adapter, float32
PROMPT = "What is 2 plus 3?"


class Way:
    """The steps of one architecture; each method is one, named in STEPS."""

    def __init__(self, model_type: str, home: Path) -> None:
        self.type = model_type
        self.home = home
        self.base = home / "saves" / "models" / model_type
        self.run = home / "saves" / "run"
        self.merged = home / "saves" / "merged"
        self.tuned: Any = None

    def build(self) -> None:
        """A tiny random model in a folder."""
        self.base.mkdir(parents=True)
        shrink.save(self.type, self.base)

    def train(self) -> None:
        """Two LoRA steps on all linear layers, as `tuneboard train` does them."""
        from tests.backend.training import train_small

        (self.home / "data").mkdir()
        train_small(self.home, self.base, max_steps=2, lora_dropout=0.0)
        assert (self.run / "adapter_model.safetensors").is_file(), "no adapter was written"

    def reload(self) -> None:
        """The adapter on its base, as Chat loads it; it changes what the base says."""
        self.tuned = self._load(adapter_name_or_path=str(self.run))
        assert not self._same(self._logits(self.tuned), self._logits(self._load()), 0.0)

    def merge(self) -> None:
        """`tuneboard export`, whose folder says what base and adapter say."""
        from backend.export import export

        values = self._values("export", adapter_name_or_path=str(self.run))
        job = self.home / "saves" / "export"
        job.mkdir()
        export.run(values.replace(export_dir=str(self.merged)), job)
        self._require_whole(self.merged)
        merged = self._load(model_name_or_path=str(self.merged))
        assert self._same(self._logits(merged), self._logits(self.tuned), TOLERANCE), "differs"

    def chat(self) -> None:
        """Eight tokens of an answer."""
        tokenizer = self._tokenizer()
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": PROMPT}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )["input_ids"]
        answer = self.tuned.generate(
            input_ids=ids, max_new_tokens=8, min_new_tokens=8, do_sample=False, use_cache=True
        )
        assert answer.shape[1] == ids.shape[1] + 8

    def full(self) -> None:
        """A step of full training writes all tensors of the base; what sees or hears stays."""
        from tests.backend.training import train_small

        folder = train_small(self.home, self.base, "full", max_steps=1, finetuning_type="full")
        self._require_whole(folder)

    def _require_whole(self, folder: Path) -> None:
        """All tensors of the base lie in a folder by their names; what sees or hears, unchanged."""
        from backend.model import language, load

        model = load.base_model(self._values("chat"))
        own = {id(weights) for _, weights in language.parameters(model)}
        renamed = model.architecture.renamed
        before, after = tensors_of(self.base), tensors_of(folder)
        assert before.keys() <= after.keys(), f"lost: {sorted(before.keys() - after.keys())[:3]}"
        for name, weights in model.named_parameters():
            file_name = renamed.get(name, name)
            if id(weights) not in own and file_name in before:
                assert before[file_name] == after[file_name], f"{file_name} has changed"

    def _values(self, task: str, **given: Any) -> Any:
        from backend.contract.arguments.arguments import parse

        values, problems = parse({"model_name_or_path": str(self.base), **given}, task)
        assert not problems, problems
        return resolve(values)

    def _load(self, **given: Any) -> Any:
        from backend.model import load

        return load.model(self._values("chat", **given), training=False)

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.base)

    def _logits(self, model: Any) -> Any:
        import torch

        ids = torch.tensor([self._tokenizer()(PROMPT)["input_ids"]])
        with torch.no_grad():
            return model.eval()(input_ids=ids).logits.float()

    @staticmethod
    def _same(one: Any, other: Any, tolerance: float) -> bool:
        assert one.isfinite().all(), "not finite"
        return bool((one - other).abs().max() <= tolerance)


def tensors_of(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Dtype and bytes of every tensor of a model folder, by its name in the files."""
    import torch
    from safetensors import safe_open

    content = {}
    for path in folder.glob("model*.safetensors"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                weights = file.get_tensor(name)
                bits = weights.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
                content[name] = (str(weights.dtype), bits)
    return content


def seeing() -> list[str]:
    """The model types that transformers registers as language models which also see or hear."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES)


def walk(model_type: str, home: Path) -> dict[str, str]:
    """What became of each step: "" where it held, else the reason; nothing after a failure."""
    way = Way(model_type, home)
    results: dict[str, str] = {}
    for name in WHOLE if model_type in seeing() else STEPS:
        step: Callable[[], None] = getattr(way, name)
        try:
            step()
        except TuneboardError as error:
            results[name] = f"refused: {error}".replace(str(way.base), "its folder")
            break
        except Exception as error:  # noqa: BLE001 (whatever an architecture raises is its result)
            lines = str(error).strip().splitlines() or [""]
            results[name] = f"{type(error).__name__}: {lines[0][:160]}"
            break
        results[name] = ""
    return results


def main(model_type: str) -> None:
    """Print the results as one line of JSON."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"TUNEBOARD_HOME": folder, "HF_HUB_OFFLINE": "1"}
        print(json.dumps(walk(model_type, Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1])
