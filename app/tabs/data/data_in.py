"""Getting data in: an upload, a path of this machine or a hub's set; what its columns are."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form
from app.form.schema import OwnField, Section
from app.i18n import Texts, in_all, t
from app.services.data import datasets, mapping, row_tree, upload_folder, uploads
from app.services.data.datasets import Candidate
from app.tabs.data.data_view import make_tree, tree
from app.tabs.shared import hub_box
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.folders.home import find
from backend.contract.registry import registry
from backend.contract.registry.dataset_info import HUBS
from backend.contract.texts.problems import TuneboardError

SOURCES = ("upload", "path", "hub")

CHAT = ("sharegpt", "openai")
COLUMNS = "columns"  # a field that is not seen: the columns of the file
NEVER: tuple[tuple[str, tuple[str, ...]], ...] = (("name", ()),)
# Where a column can have a role, by layout and ranking; as mapping.roles says it.
WHEN: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "prompt": (("format", ("alpaca",)),),
    "query": (("format", ("alpaca",)),),
    "response": (("format", ("alpaca",)), ("ranking", ("false",))),
    "messages": (("format", CHAT),),
    "chosen": (("ranking", ("true",)),),
    "rejected": (("ranking", ("true",)),),
    "history": (("format", ("alpaca",)),),
    "kto_tag": (("ranking", ("false",)),),
}
LAYOUTS = tuple((name, f"bring.format.{name}") for name in mapping.FORMATS)
OWN = (
    OwnField("name", "text", "bring.name", "bring.name_help"),
    OwnField(
        "format",
        "choice",
        "bring.format",
        "bring.format_help",
        default="alpaca",
        choices=LAYOUTS,
    ),
    OwnField("ranking", "bool", "bring.ranking", "bring.ranking_help", default=False),
    *(
        OwnField(
            role,
            "choice",
            f"bring.role.{role}",
            f"bring.role.{role}_help",
            choices=(("", "bring.unused"),),
            when=WHEN.get(role, ()),
            source=COLUMNS,
        )
        for role in mapping.ROLES
    ),
    OwnField(
        COLUMNS,
        "several",
        "bring.role.messages",
        "bring.role.messages_help",
        default=[],
        when=NEVER,
    ),
)
SECTIONS = (
    Section("what", "", ("name", "format"), slot="first", width=2),
    Section("kind", "", ("ranking",), slot="first", width=1),
    Section("roles", "", (*mapping.ROLES, COLUMNS), width=3),
)

Parts = dict[str, Any]
Update = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """What the tab shares: dataset_dir, and the list of sets."""

    dataset_dir: Any
    dataset: Any


def draw(context: Context) -> Parts:
    """Draw the step "Bring in"; its components by name, for `wire`."""
    texts = context.texts
    parts: Parts = {"coming": gr.State(None)}
    texts.add(gr.Markdown(t("bring.intro"), elem_classes="quiet"), value="bring.intro")
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
    parts["problem"] = make_tree("bring-problem", spoken=True)
    _draw_mapping(context, parts)
    parts["notice"] = make_tree("bring-notice", spoken=True)
    return parts


def wire(parts: Parts, place: Place) -> None:
    """Wire the ways in and the form of the columns."""
    _wire_sources(parts, place)
    _wire_mapping(parts, place)
    search = parts["search"]
    search.use(lambda name: gr.update(value=name), search, place.dataset, **QUIET)


def _draw_sources(texts: Texts, parts: Parts) -> None:
    with gr.Column(elem_id="bring-upload") as parts["upload"]:
        # no text of ours: Gradio makes a component anew that changes its language
        parts["file"] = gr.File(
            label="File / 文件", show_label=False, elem_id="bring-file", height=140
        )
        help_ = gr.Markdown(t("bring.file_help"), elem_classes="quiet")
        texts.add(help_, value="bring.file_help")
    with gr.Row(visible=False, elem_classes="fields bring-line") as parts["path_box"]:
        parts["path"] = _box(texts, "path", scale=4, placeholder="data/questions.csv")
        parts["look"] = texts.make(gr.Button, {"value": "bring.look"}, elem_id="bring-look")
    # Itself, and not a column around it: Gradio (6.31) shows a column that is "hidden" at first.
    parts["search"] = hub_box.draw("dataset", "bar", visible="hidden")
    with gr.Row(visible=False, elem_classes="fields bring-line") as parts["hub_box"]:
        parts["hub_id"] = _box(texts, "hub_id", placeholder="owner/name")
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
        parts["hub_name"] = _box(texts, "name", elem_id="bring-hub_name", placeholder="my_data")
        parts["hub_register"] = _register_button(texts, "bring-hub_register")


def _box(texts: Texts, name: str, **more: Any) -> Any:
    keys = {"label": f"bring.{name}", "info": f"bring.{name}_help"}
    return texts.make(gr.Textbox, keys, max_lines=1, **{"elem_id": f"bring-{name}", **more})


def _register_button(texts: Texts, elem_id: str) -> Any:
    return texts.make(gr.Button, {"value": "bring.register"}, variant="primary", elem_id=elem_id)


def _draw_mapping(context: Context, parts: Parts) -> None:
    texts = context.texts
    with gr.Row(visible=False, elem_classes="columns", elem_id="bring-details") as parts["details"]:
        with gr.Column(scale=3, min_width=320):
            parts["found"] = make_tree("bring-found")
            parts["columns"] = form = Form("train", "columns", SECTIONS, own=OWN)
            form.draw(context.schemas)
        with gr.Column(scale=2, min_width=320, elem_classes="sticky"):
            parts["example"] = make_tree("bring-example")
            parts["register"] = _register_button(texts, "bring-register")


@dataclass(frozen=True)
class Description:
    """What the mapping form holds."""

    name: str
    formatting: str
    ranking: bool
    columns: dict[str, str]

    @classmethod
    def of(cls, form: Form, value: Any) -> "Description":
        """From the value of the form's box."""
        fields = form.read_box(value)
        columns = {role: str(fields[role]) for role in mapping.ROLES}
        return cls(
            str(fields["name"]).strip(), str(fields["format"]), bool(fields["ranking"]), columns
        )

    def entry(self, candidate: Candidate) -> dict[str, Any]:
        """The entry of the registry that it means for a file."""
        return mapping.entry(candidate.proposal, self.formatting, self.ranking, self.columns)


def _judge(candidate: Candidate, description: Description, folder: str) -> list[Update]:
    """Updates of the reasons for the proposal, of the example, and of Register."""
    entry = description.entry(candidate)
    example, kind = mapping.example(candidate, entry), mapping.kind(candidate.proposal, entry)
    bad_names = in_all(partial(mapping.name_problem, description.name, folder))
    wrong = {lang: [row_tree.wrong(text)] for lang, text in bad_names.items() if text}
    return [
        tree(lambda lang: [mapping.reasons(candidate.proposal, lang), *wrong.get(lang, [])]),
        tree(lambda lang: [*mapping.draw_example(example, kind, lang)]),
        gr.update(interactive=not wrong and mapping.is_usable(example)),
    ]


def _pick_judged(parts: Parts) -> list[Any]:
    """The components that `_judge` updates."""
    return [parts[name] for name in ("found", "example", "register")]


def _propose(candidate: Candidate, suggested: str, folder: str) -> list[Update]:
    """Updates that fill the form with the proposal, and what is said of that."""
    entry = candidate.proposal.entry
    description = Description(
        registry.free_name(suggested, folder),
        str(entry.get("formatting", "alpaca")),
        bool(entry.get("ranking")),
        candidate.proposal.columns,
    )
    values = {
        "name": description.name,
        "format": description.formatting,
        "ranking": description.ranking,
    }
    columns = {role: description.columns.get(role, "") for role in mapping.ROLES}
    update = gr.update(value={**values, **columns, COLUMNS: candidate.columns})
    return [update, *_judge(candidate, description, folder)]


def _wire_sources(parts: Parts, place: Place) -> None:
    outputs = [
        *(parts[name] for name in ("coming", "problem", "details", "notice", "file")),
        parts["columns"].box,
        *_pick_judged(parts),
    ]
    skipped = [gr.skip()] * (1 + len(_pick_judged(parts)))

    def open_file(path: Path, name: str, folder: str, *, upload: bool) -> list[Any]:
        try:
            candidate = datasets.accept_upload(path) if upload else datasets.accept_file(path, None)
        except TuneboardError as error:
            _discard(path)
            return [None, show_problem(error), hide(), tree(), None, *skipped]
        update = _propose(candidate, name, folder)
        return [candidate, tree(), gr.update(visible=True), tree(), gr.skip(), *update]

    def take_upload(
        folder: str, before: Candidate | None, file: dict[str, Any] | None
    ) -> list[Any]:
        _drop(before)
        if file is None:
            return close(None)
        path = str(file["path"])
        name = str(file.get("orig_name") or path)
        return open_file(Path(path), name, folder, upload=True)

    def take_path(folder: str, before: Candidate | None, typed: str) -> list[Any]:
        _drop(before)
        path = find(typed.strip())
        return open_file(path, path.name, folder, upload=False)

    def close(before: Candidate | None) -> list[Any]:
        _drop(before)
        return [None, tree(), hide(), tree(), None, *skipped]

    def switch_source(source: str, before: Candidate | None) -> list[Any]:
        shown = [gr.update(visible=source == name) for name in SOURCES]
        search = gr.update(visible=True if source == "hub" else "hidden")
        return [*close(before), *shown, search]

    inputs = [place.dataset_dir, parts["coming"]]
    quiet = {"api_visibility": "private"}
    # As it came, with the name that it had: a component's own way makes another, empty file of an
    # empty one, and Gradio makes each component anew that an event leaves as it is.
    with_file = [*inputs, parts["file"]]
    parts["file"].upload(take_upload, with_file, outputs, preprocess=False, **quiet)
    parts["file"].clear(close, parts["coming"], outputs, **quiet)
    gr.on(
        [parts["look"].click, parts["path"].submit],
        take_path,
        [*inputs, parts["path"]],
        outputs,
        **quiet,
    )
    names = ("upload", "path_box", "hub_box", "search")
    boxes = [parts[name] for name in names]
    parts["source"].input(
        switch_source, [parts["source"], parts["coming"]], [*outputs, *boxes], **QUIET
    )


def _wire_mapping(parts: Parts, place: Place) -> None:
    form, outputs = parts["columns"], _pick_judged(parts)

    def change(folder: str, candidate: Candidate | None, fields: Any) -> list[Any]:
        if candidate is None:
            return [gr.skip()] * len(outputs)
        return _judge(candidate, Description.of(form, fields), folder)

    form.box.change(
        change,
        [place.dataset_dir, parts["coming"], form.box],
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )


def show_problem(error: TuneboardError) -> Update:
    """The update of a component that then shows what is wrong."""
    problems = error.problems

    def describe(lang: str) -> list[row_tree.Element]:
        return [row_tree.wrong(mapping.describe_problem(each, lang)) for each in problems]

    update: Update = tree(describe)
    return update


def hide() -> Update:
    """The update of a component that is then not seen."""
    update: Update = gr.update(visible=False)
    return update


def _inside(path: Path) -> Path | None:
    """The folder of uploads, where the path is one."""
    folder = upload_folder.folder()
    return folder if folder is not None and path.is_relative_to(folder) else None


def _discard(path: Path) -> None:
    folder = _inside(path)
    if folder is not None:
        uploads.discard(path, folder)


def _drop(candidate: Candidate | None) -> None:
    """Remove an upload whose place another one, or nothing, takes."""
    if candidate is not None:
        _discard(candidate.path)
