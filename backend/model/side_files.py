"""Keep the small files of a model and its tokenizer unchanged in every result.

The libraries rewrite these files in their own format and with settings of the run (a pad token, for
example). Here they are replaced by the files that the run began with, byte for byte, and real
changes (new tokens, size of the vocabulary, end ids) are put into them.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from backend.contract.arguments.typed import Arguments
from backend.contract.models import model_folder, template_names
from backend.contract.models.model_folder import ADAPTER_CONFIG, CONFIG
from backend.contract.runs import checkpoints, position, run_files
from backend.contract.system.files import read_json
from backend.model import load
from backend.model import vocabulary as tokens

Json = dict[str, Any]

TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"  # the folder of further templates
TOKENIZER, SETTINGS, ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
GENERATION = "generation_config.json"
OF_TOKENIZER = (
    *("tokenizer*", "special_tokens_map.json", ADDED, "chat_template*", "vocab*", "merges.txt"),
    *("*.model", "*.tiktoken", "tekken.json", "*.spm", "*.vocab", "*.bpe", "*.codes"),
    *("normalizer.json", "emoji.txt", "tokenization_*.py"),
)
OF_MODEL = ("*.json", "*.jinja", "*.txt", "*.py")
VOCAB_REPORT = "new_pieces.json"  # the measures of new pieces of the tokenizer
LEGAL = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*", "USE_POLICY*")
# Files of these kinds that are about a run, or that are written with the weights, are not copied.
OTHERS = {
    *(CONFIG, ADAPTER_CONFIG, GENERATION, template_names.NAME, model_folder.NAME),
    *("quantized_base.json", VOCAB_REPORT),
    *(run_files.RUN, run_files.LAUNCH, run_files.STATUS, run_files.STOP, run_files.EXIT),
    *(run_files.PROBLEM, run_files.RESULTS, run_files.LOG, checkpoints.MANIFEST),
    *("train_results.json", "eval_results.json", "predict_results.json", "requirements.txt"),
    *("trainer_state.json", position.PROGRESS, "deepspeed.json", "data.json"),
}
LARGEST = 100_000_000  # bytes of a file that is copied
# Keys of config.json that are not taken over: who wrote the file, settings of the run itself
# (transformers' trainer copies the tokenizer's ids), and the dtype, which is handled apart.
SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
NOT_CHANGED = {
    *("transformers_version", "_name_or_path", "use_cache", "dtype", "torch_dtype", *SPECIAL_IDS)
}


@dataclass(frozen=True)
class SideFiles:
    """The files beside the weights of a result.

    source    folder of the tokenizer that the run began with
    base      folder of the model that the run began with
    template  name of the chat template of the training
    ends      token ids that end an answer
    """

    tokenizer: Any
    source: Path
    base: Path
    template: str
    ends: tuple[int, ...]
    new_tokens: bool
    trust: bool

    @classmethod
    def of(
        cls, values: Arguments, tokenizer: Any, template: str, ends: Sequence[int]
    ) -> "SideFiles":
        """The side files of a run with these arguments. Raises ModelError as in loading a model."""
        new = tokens.adds_tokens(values) and (
            load.tokenizer(tokens.without_new_tokens(values)).get_vocab() != tokenizer.get_vocab()
        )
        folders = load.tokenizer_folder(values), load.base_folder(values)
        trust = values.trust_remote_code
        return cls(tokenizer, *folders, template, tuple(ends), new, trust)

    def write(self, folder: Path, *, whole: bool) -> None:
        """Write the files into a result's folder, over those of the libraries.

        `whole` is for a model with its config.json, not an adapter. Where the folders have been
        removed meanwhile, the tokenizer is written from memory.
        """
        template_names.write(folder, self.template)
        if not (self.source.is_dir() and self.base.is_dir()):
            self.tokenizer.save_pretrained(folder)
            return
        if self.new_tokens:
            _write_extended(self.source, folder, self.tokenizer)
        else:
            _copy(self.source, folder, _names(self.source, OF_TOKENIZER))
        if (self.source / TEMPLATES).is_dir():
            shutil.copytree(self.source / TEMPLATES, folder / TEMPLATES, dirs_exist_ok=True)
        self._write_new_template(folder)
        if whole:
            own = {*_names(self.base, OF_TOKENIZER), *OTHERS}
            others = set(_names(self.base, (*OF_MODEL, *LEGAL))) - own
            _copy(self.base, folder, (each for each in others if not each.endswith(".index.json")))
            write_config(self.base, folder, self.trust)
            write_generation_config(self.base, folder, self.ends)

    def _write_new_template(self, folder: Path) -> None:
        """Write the chat template where the tokenizer had none at the beginning."""
        template = self.tokenizer.chat_template
        settings = read_json(self.source / SETTINGS)
        has_one = (self.source / TEMPLATE).is_file() or settings.get("chat_template")
        if isinstance(template, str) and not has_one:
            (folder / TEMPLATE).write_text(template, encoding="utf-8", newline="")


def write_config(base: Path, folder: Path, trust: bool) -> None:
    """Write the base's config.json with the changes in the configuration of the result."""
    own, new = read_json(base / CONFIG), read_json(folder / CONFIG)
    before, after = (_whole_config(each, trust) for each in (base, folder))
    changed = _differences(before, after)
    key = next((name for name in ("dtype", "torch_dtype") if name in own), "dtype")
    dtype = new.get("dtype") or new.get("torch_dtype")
    if dtype and dtype != own.get(key, "float32"):
        changed[key] = dtype
    if changed:
        _write(folder / CONFIG, _merge_json(own, changed))
    else:
        shutil.copyfile(base / CONFIG, folder / CONFIG)


def write_generation_config(base: Path, folder: Path, ends: tuple[int, ...]) -> None:
    """Write the base's generation_config.json with `ends` added to its end ids.

    Where the base has no such file, its config.json has the end ids, and the file is written only
    for further ones.
    """
    own: Json = dict(read_json(base / GENERATION))
    source = own or read_json(base / CONFIG)
    listed = source.get("eos_token_id")
    known = listed if isinstance(listed, list) else [] if listed is None else [listed]
    every = list(dict.fromkeys([*known, *ends]))
    (folder / GENERATION).unlink(missing_ok=True)
    if every != known:
        special = {name: source[name] for name in SPECIAL_IDS if source.get(name) is not None}
        ended = {"eos_token_id": every if len(every) > 1 else every[0]}
        _write(folder / GENERATION, {**(own or special), **ended})
    elif own:
        shutil.copyfile(base / GENERATION, folder / GENERATION)


def _whole_config(folder: Path, trust: bool) -> Json:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
    content: Json = json.loads(config.to_json_string(use_diff=False))
    return content


def _differences(before: Json, after: Json) -> Json:
    """The values that are new or changed in `after`; nested mappings have only their changes."""
    changed: Json = {}
    for key, value in after.items():
        if key in NOT_CHANGED or value == before.get(key):
            continue
        inner = isinstance(value, dict) and isinstance(before.get(key), dict)
        difference = _differences(before[key], value) if inner else value
        if difference or not inner:
            changed[key] = difference
    return changed


def _merge_json(own: Json, changed: Json) -> Json:
    both = {
        key: _merge_json(own[key], value)
        if isinstance(value, dict) and isinstance(own.get(key), dict)
        else value
        for key, value in changed.items()
    }
    return {**own, **both}


def _write_extended(source: Path, folder: Path, tokenizer: Any) -> None:
    """Write the tokenizer with its new tokens; everything else is from the source's files."""
    tokenizer.save_pretrained(folder)
    shutil.rmtree(folder / TEMPLATES, ignore_errors=True)
    (folder / TEMPLATE).unlink(missing_ok=True)
    extended = {TOKENIZER, SETTINGS, ADDED}
    _copy(source, folder, (name for name in _names(source, OF_TOKENIZER) if name not in extended))
    own: Json = dict(read_json(source / SETTINGS))
    new = read_json(folder / SETTINGS)
    if "added_tokens_decoder" in {*own, *new}:
        states = tokenizer.added_tokens_decoder.items()
        every = {str(index): token.__getstate__() for index, token in states}
        own["added_tokens_decoder"] = {**every, **(own.get("added_tokens_decoder") or {})}
    _write(folder / SETTINGS, own)
    if (source / ADDED).is_file():
        _write(folder / ADDED, {**tokenizer.get_added_vocab(), **read_json(source / ADDED)})
    if (source / TOKENIZER).is_file():
        before, after = read_json(source / TOKENIZER), read_json(folder / TOKENIZER)
        # earlier calls of the tokenizer in memory have changed these
        left_over = {name: before.get(name) for name in ("truncation", "padding")}
        _write(folder / TOKENIZER, {**after, **left_over})


def _names(folder: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the files in a folder that match one of the patterns."""
    for path in sorted(folder.iterdir()):
        fits = any(path.match(pattern) for pattern in patterns)
        if fits and path.is_file() and path.stat().st_size <= LARGEST:
            yield path.name


def _copy(source: Path, folder: Path, names: Iterable[str]) -> None:
    if source != folder:
        for name in names:
            shutil.copyfile(source / name, folder / name)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
