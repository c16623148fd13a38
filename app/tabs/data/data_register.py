"""Register: a coming file, or a set on a hub, becomes an entry of the registry."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import gradio as gr

from app.i18n import t
from app.services.data import datasets, row_tree
from app.services.data.datasets import Candidate
from app.tabs.data.data_in import Description, Parts, Place, hide, show_problem
from app.tabs.data.data_view import tree
from app.tabs.shared.wiring import QUIET
from backend.contract.registry import registry
from backend.contract.texts.numbers import format_number
from backend.contract.texts.problems import TuneboardError

POLL_S = 0.25


def wire(parts: Parts, place: Place) -> None:
    """Wire both ways; a set that was registered is chosen in `place.dataset`."""
    _wire_form(parts, place)
    _wire_hub(parts, place)


def _ending(parts: Parts, place: Place) -> list[Any]:
    """The components that a registration changes."""
    names = ("coming", "problem", "details", "file", "path", "hub_id", "register", "hub_register")
    return [*(parts[name] for name in (*names, "notice")), place.dataset]


def _wire_form(parts: Parts, place: Place) -> None:
    form = parts["columns"]

    def register(folder: str, candidate: Candidate | None, fields: Any) -> Iterator[list[Any]]:
        if candidate is None:
            return
        description, share = Description.of(form, fields), [0.0]
        entry = description.entry(candidate)

        def note_share(done: float) -> None:
            share[0] = done

        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(
                datasets.enter, description.name, candidate, entry, folder, note_share
            )
            while not wait([job], POLL_S).done:
                yield _busy("bring.copying", share=format_number(share[0], ".0%"))
        try:
            job.result()
        except TuneboardError as error:
            yield _show_refusal(error)
        else:
            yield _show_success(description.name)

    parts["register"].click(
        register,
        [place.dataset_dir, parts["coming"], form.box],
        _ending(parts, place),
        **QUIET,
    )


def _wire_hub(parts: Parts, place: Place) -> None:
    def suggest(hub_id: str, folder: str) -> str:
        return registry.free_name(hub_id.strip(), folder) if hub_id.strip() else ""

    def register(folder: str, hub_id: str, hub: str, name: str) -> Iterator[list[Any]]:
        hub_id, name = hub_id.strip(), name.strip()
        if not hub_id:
            return
        yield _busy("bring.asking", name=hub_id)
        try:
            datasets.register_hub(name, hub_id, hub, folder)
        except TuneboardError as error:
            yield _show_refusal(error)
        else:
            yield _show_success(name)

    parts["hub_id"].input(suggest, [parts["hub_id"], place.dataset_dir], parts["hub_name"], **QUIET)
    parts["hub_register"].click(
        register,
        [place.dataset_dir, parts["hub_id"], parts["hub"], parts["hub_name"]],
        _ending(parts, place),
        **QUIET,
    )


def _busy(key: str, **params: str) -> list[Any]:
    """Updates that say what goes on."""
    off = gr.update(interactive=False)
    notice = tree(lambda lang: [row_tree.note(t(key, lang, **params))])
    return [gr.skip(), tree(), *[gr.skip()] * 4, off, off, notice, gr.skip()]


def _show_refusal(error: TuneboardError) -> list[Any]:
    """Updates that say why nothing was registered, and leave the form as it is."""
    on = gr.update(interactive=True)
    return [gr.skip(), show_problem(error), *[gr.skip()] * 4, on, on, tree(), gr.skip()]


def _show_success(name: str) -> list[Any]:
    """Updates that close the form and choose the new set, which opens it to be looked at."""
    on = gr.update(interactive=True)
    cleared = [None, tree(), hide(), None, "", ""]
    return [*cleared, on, on, tree(), gr.update(value=name)]
