"""The adapters over one base model: loaded beside each other, one of them active at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import PeftModel

from backend.contract.arguments.typed import Arguments
from backend.contract.texts.problems import ModelError, TuneboardError
from backend.model import adapters, load
from backend.serving import names
from backend.serving.generation_request import GenerationRequest

MAIN = "default"  # peft's name of the adapter that it is given first


class Weights:
    """A model with the names of its further adapters (api_adapters).

    `folders` has the folder of each of `keys`. Every pass through the model is made within `use`,
    which switches where another adapter, or none, is active; nothing is loaded again.
    """

    def __init__(
        self,
        model: Any,
        adapters: tuple[str, ...] = (),
        folders: Mapping[str | None, Path] | None = None,
    ) -> None:
        self.adapters = adapters
        self.folders = folders or {}
        self._model = model
        self._switches = isinstance(model, PeftModel)
        self.has_main = self._switches and MAIN in model.peft_config
        self._active = MAIN

    @classmethod
    def load(cls, model: Any, values: Arguments) -> tuple[Any, "Weights"]:
        """Put the adapters of `api_adapters` beside that of the model, if it has one; gives the
        model with them. Raises UsageError and ModelError where one cannot be used."""
        folders = _folders(values)
        for number, folder in enumerate(folders.values()):
            if isinstance(model, PeftModel):
                adapters.attach_beside(model, folder, _inner(number))
            else:
                model = adapters.attach(model, folder, name=_inner(number))
        own: dict[str | None, Path] = {None: load.base_folder(values)}
        if load.adapter_folders(values):
            own[MAIN] = load.last_folder(values)
        for number, folder in enumerate(folders.values()):
            own[_inner(number)] = folder
        return model, cls(model, tuple(folders), own)

    def key(self, request: GenerationRequest) -> str | None:
        """The adapter that answers a request, by its name within the model; None for the base."""
        return self.key_of(tuned=request.tuned, adapter=request.adapter)

    def key_of(self, *, tuned: bool, adapter: str) -> str | None:
        """The adapter by its name within the model, from that of clients; None for the base."""
        if adapter:
            return _inner(self.adapters.index(adapter))
        return MAIN if tuned and self.has_main else None

    @property
    def keys(self) -> list[str | None]:
        """What `key` can be."""
        main = [MAIN] if self.has_main else []
        return [*main, None, *(_inner(number) for number in range(len(self.adapters)))]

    @contextmanager
    def use(self, key: str | None) -> Iterator[None]:
        """Within the block, this adapter is active, or the base model alone (None)."""
        if not self._switches:
            yield
            return
        if key is not None and self._active != key:
            self._model.set_adapter(key)
            self._active = key
        with nullcontext() if key is not None else self._model.disable_adapter():
            yield


def _inner(number: int) -> str:
    """A name within the model, where a client's name might have signs that modules cannot."""
    return f"served_{number}"


def _folders(values: Arguments) -> dict[str, Path]:
    """The folders by the names of clients. Raises UsageError and ModelError."""
    folders = {}
    for name, folder in names.adapters(values).items():
        try:
            wanted = values.replace(adapter_name_or_path=folder)
            folders[name] = load.adapter_folders(wanted)[-1]
        except TuneboardError as error:
            problems = (replace(problem, field=names.FIELD) for problem in error.problems)
            raise ModelError(*problems) from error
    return folders
