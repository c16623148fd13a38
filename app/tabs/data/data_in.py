"""Getting data in: an upload, a path of this machine or a hub's set; what its columns are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import Texts, t
from app.services.data import datasets, mapping, upload_folder, uploads
from app.services.data.datasets import Candidate
from app.tabs.shared import message
from app.tabs.shared.wiring import QUIET
from backend.contract.base.home import find
from backend.contract.base.problems import TuneboardError
from backend.contract.registry.dataset_info import HUBS

SOURCES = ("upload", "path", "hub")
POLL_S = 0.25

Parts = dict[str, Any]
Update = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """What the tab shares: texts, the language box, dataset_dir, and the list of sets."""

    texts: Texts
    lang: Any
    dataset_dir: Any
    dataset: Any


def draw(texts: Texts) -> Parts:
    """Draw the upper part of the tab; its components by name, for `wire`."""
    parts: Parts = {"coming": gr.State(None)}
    for key in ("title", "intro"):
        texts.add(gr.Markdown(t(f"bring.{key}"), elem_classes="heading"), value=f"bring.{key}")
    sources = [(f"bring.source.{name}", name) for name in SOURCES]
    parts["source"] = texts.make(
        gr.Radio,
        {"label": "bring.source", "choices": sources},
        value="upload",
        container=False,
        show_label=False,
        elem_id="bring-source",
    )
    _draw_sources(texts, parts)
    parts["problem"] = message.problem(texts, "bring-problem")
    _draw_mapping(texts, parts)
    with gr.Row(elem_classes="seen-buttons", visible=False) as parts["done"]:
        parts["notice"] = gr.Markdown(elem_id="bring-notice", elem_classes="seen")
        parts["train"] = texts.make(
            gr.Button, {"value": "sets.train"}, variant="primary", elem_id="bring-train"
        )
    return parts


def wire(parts: Parts, place: Place) -> None:
    """Wire the ways in and the form of the columns."""
    _wire_sources(parts, place)
    _wire_mapping(parts, place)


def _draw_sources(texts: Texts, parts: Parts) -> None:
    with gr.Column(elem_id="bring-upload") as parts["upload"]:
        # no text of ours: Gradio makes a component anew that changes its language
        parts["file"] = gr.File(
            label="File / 文件", show_label=False, elem_id="bring-file", height=140
        )
        help_ = gr.Markdown(t("bring.file_help"), elem_classes="quiet")
        texts.add(help_, value="bring.file_help")
    with gr.Row(visible=False, elem_classes="fields bring-line") as parts["path_box"]:
        parts["path"] = _box(texts, "path", scale=4)
        parts["look"] = texts.make(gr.Button, {"value": "bring.look"}, elem_id="bring-look")
    with gr.Row(visible=False, elem_classes="fields bring-line") as parts["hub_box"]:
        parts["hub_id"] = _box(texts, "hub_id")
        parts["hub"] = texts.make(
            gr.Dropdown,
            {
                "label": "bring.hub",
                "info": "bring.hub_help",
                "choices": [(f"choice.hub_name.{name}", name) for name in HUBS],
            },
            value="huggingface",
            filterable=False,
            elem_id="bring-hub",
        )
        parts["hub_name"] = _box(texts, "name", elem_id="bring-hub_name")
        parts["hub_register"] = _register_button(texts, "bring-hub_register")


def _box(texts: Texts, name: str, **given: Any) -> Any:
    keys = {"label": f"bring.{name}", "info": f"bring.{name}_help"}
    return texts.make(gr.Textbox, keys, max_lines=1, **{"elem_id": f"bring-{name}", **given})


def _register_button(texts: Texts, elem_id: str) -> Any:
    return texts.make(gr.Button, {"value": "bring.register"}, variant="primary", elem_id=elem_id)


def _draw_mapping(texts: Texts, parts: Parts) -> None:
    with gr.Row(visible=False, elem_classes="columns", elem_id="bring-details") as parts["details"]:
        with gr.Column(scale=3, min_width=320):
            parts["found"] = gr.Markdown(elem_id="bring-found", elem_classes="seen")
            with gr.Row(elem_classes="fields"):
                parts["name"] = _box(texts, "name")
                parts["format"] = texts.make(
                    gr.Dropdown,
                    {
                        "label": "bring.format",
                        "info": "bring.format_help",
                        "choices": [(f"bring.format.{name}", name) for name in mapping.FORMATS],
                    },
                    value="alpaca",
                    filterable=False,
                    elem_id="bring-format",
                )
                parts["ranking"] = texts.make(
                    gr.Checkbox,
                    {"label": "bring.ranking", "info": "bring.ranking_help"},
                    elem_id="bring-ranking",
                )
            with gr.Row(elem_classes="fields"):
                parts["roles"] = [_role(texts, name) for name in mapping.ROLES]
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            parts["example"] = gr.Markdown(elem_id="bring-example", elem_classes="seen")
            parts["register"] = _register_button(texts, "bring-register")


def _role(texts: Texts, name: str) -> Any:
    return texts.make(
        gr.Dropdown,
        {"label": f"bring.role.{name}", "info": f"bring.role.{name}_help"},
        choices=[("–", "")],
        value="",
        elem_id=f"bring-role-{name}",
    )


@dataclass(frozen=True)
class Chosen:
    """What the mapping form holds."""

    name: str
    formatting: str
    ranking: bool
    columns: dict[str, str]

    @classmethod
    def of(cls, given: Sequence[Any]) -> "Chosen":
        """From the values of `fields`."""
        name, formatting, ranking, *columns = given
        named = dict(zip(mapping.ROLES, (one or "" for one in columns), strict=True))
        return cls((name or "").strip(), formatting, bool(ranking), named)

    def entry(self, coming: Candidate) -> dict[str, Any]:
        """The entry that it means for a file."""
        return mapping.entry(coming.proposal, self.formatting, self.ranking, self.columns)


def fields(parts: Parts) -> list[Any]:
    """The boxes of name, format and columns, as `Chosen.of` takes their values."""
    return [parts["name"], parts["format"], parts["ranking"], *parts["roles"]]


def _judged(coming: Candidate, chosen: Chosen, folder: str, lang: str) -> list[Update]:
    """Updates of the form, what was found, the example and Register."""
    entry = chosen.entry(coming)
    one = mapping.example(coming, entry)
    bad_name = mapping.name_problem(chosen.name, folder, lang)
    shown = mapping.roles(chosen.formatting, chosen.ranking)
    info = f"⚠ {bad_name}" if bad_name else t("bring.name_help", lang)
    return [
        gr.update(info=info, elem_classes=["wrong"] if bad_name else []),
        gr.update(),
        gr.update(),
        *(gr.update(visible=role in shown) for role in mapping.ROLES),
        gr.update(value=mapping.reasons(coming.proposal, lang)),
        gr.update(value=mapping.draw_example(one, mapping.kind(coming.proposal, entry), lang)),
        gr.update(interactive=not bad_name and mapping.is_usable(one)),
    ]


def _judged_parts(parts: Parts) -> list[Any]:
    return [*fields(parts), parts["found"], parts["example"], parts["register"]]


def _proposed(coming: Candidate, suggested: str, folder: str, lang: str) -> list[Update]:
    """The form filled with what was proposed, and judged."""
    entry = coming.proposal.entry
    chosen = Chosen(
        mapping.free_name(suggested, folder),
        str(entry.get("formatting", "alpaca")),
        bool(entry.get("ranking")),
        coming.proposal.columns,
    )
    choices = [(f"({t('bring.unused', lang)})", ""), *((name, name) for name in coming.columns)]
    filled = [
        gr.update(value=chosen.name),
        gr.update(value=chosen.formatting),
        gr.update(value=chosen.ranking),
        *(gr.update(choices=choices, value=chosen.columns.get(role, "")) for role in mapping.ROLES),
    ]
    judged = _judged(coming, chosen, folder, lang)
    return [
        {**update, **(filled[number] if number < len(filled) else {})}
        for number, update in enumerate(judged)
    ]


def _wire_sources(parts: Parts, place: Place) -> None:
    outputs = [
        *(parts[name] for name in ("coming", "problem", "details", "done", "file")),
        *_judged_parts(parts),
    ]
    skipped = [gr.skip()] * len(_judged_parts(parts))

    def opened(path: Path, name: str, lang: str, folder: str, *, upload: bool) -> list[Any]:
        try:
            coming = datasets.accept_upload(path) if upload else datasets.accept_file(path, None)
        except TuneboardError as error:
            _discard(path)
            return [None, problem(error, lang), hidden(), hidden(), None, *skipped]
        filled = _proposed(coming, name, folder, lang)
        return [coming, hidden(), gr.update(visible=True), hidden(), gr.skip(), *filled]

    def uploaded(
        lang: str, folder: str, before: Candidate | None, file: dict[str, Any] | None
    ) -> list[Any]:
        _drop(before)
        if file is None:
            return closed(None)
        path = str(file["path"])
        name = str(file.get("orig_name") or path)
        return opened(Path(path), name, lang, folder, upload=True)

    def named(lang: str, folder: str, before: Candidate | None, given: str) -> list[Any]:
        _drop(before)
        path = find(given.strip())
        return opened(path, path.name, lang, folder, upload=False)

    def closed(before: Candidate | None) -> list[Any]:
        _drop(before)
        return [None, hidden(), hidden(), hidden(), None, *skipped]

    def switched(source: str, before: Candidate | None) -> list[Any]:
        return [*closed(before), *(gr.update(visible=source == name) for name in SOURCES)]

    inputs = [place.lang, place.dataset_dir, parts["coming"]]
    quiet = {"api_visibility": "private"}
    # As it came, with the name that it had: a component's own way makes another, empty file of an
    # empty one, and Gradio makes each component anew that an event leaves as it is.
    given = [*inputs, parts["file"]]
    parts["file"].upload(uploaded, given, outputs, preprocess=False, **quiet)
    parts["file"].clear(closed, parts["coming"], outputs, **quiet)
    gr.on(
        [parts["look"].click, parts["path"].submit],
        named,
        [*inputs, parts["path"]],
        outputs,
        **quiet,
    )
    boxes = [parts["upload"], parts["path_box"], parts["hub_box"]]
    parts["source"].input(switched, [parts["source"], parts["coming"]], [*outputs, *boxes], **QUIET)


def _wire_mapping(parts: Parts, place: Place) -> None:
    outputs = _judged_parts(parts)

    def changed(lang: str, folder: str, coming: Candidate | None, *given: Any) -> list[Any]:
        if coming is None:
            return [gr.skip()] * len(outputs)
        return list(_judged(coming, Chosen.of(given), folder, lang))

    gr.on(
        [*(box.input for box in fields(parts)), place.lang.change],
        changed,
        [place.lang, place.dataset_dir, parts["coming"], *fields(parts)],
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )


def problem(error: TuneboardError, lang: str) -> Update:
    """What is wrong, shown."""
    said = "\n".join(mapping.describe_problem(one, lang) for one in error.problems)
    update: Update = gr.update(visible=True, value=said)
    return update


def hidden() -> Update:
    """A component that goes."""
    update: Update = gr.update(visible=False)
    return update


def _inside(path: Path) -> Path | None:
    """The inbox, where the path is an upload."""
    folder = upload_folder.folder()
    return folder if folder is not None and path.is_relative_to(folder) else None


def _discard(path: Path) -> None:
    folder = _inside(path)
    if folder is not None:
        uploads.discard(path, folder)


def _drop(coming: Candidate | None) -> None:
    """An upload that another one, or nothing, takes the place of."""
    if coming is not None:
        _discard(coming.path)
