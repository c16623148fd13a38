"""Getting data in: an upload, a path of this machine or a hub's set; what its columns are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form
from app.form.schema import OwnField, Section
from app.i18n import Texts, t
from app.services.data import datasets, mapping, row_tree, upload_folder, uploads
from app.services.data.datasets import Candidate
from app.tabs.data.data_view import make_tree, tree
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.base.home import find
from backend.contract.base.problems import TuneboardError
from backend.contract.registry.dataset_info import HUBS

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
    Section("what", "", ("name", "format", "ranking"), slot="first", width=3),
    Section("roles", "", (*mapping.ROLES, COLUMNS), width=3),
)

Parts = dict[str, Any]
Update = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """What the tab shares: texts, the language box, dataset_dir, and the list of sets."""

    texts: Texts
    lang: Any
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
class Chosen:
    """What the mapping form holds."""

    name: str
    formatting: str
    ranking: bool
    columns: dict[str, str]

    @classmethod
    def of(cls, form: Form, value: Any) -> "Chosen":
        """From the value of the form's box."""
        fields = form.read_box(value)
        columns = {role: str(fields[role]) for role in mapping.ROLES}
        return cls(
            str(fields["name"]).strip(), str(fields["format"]), bool(fields["ranking"]), columns
        )

    def entry(self, coming: Candidate) -> dict[str, Any]:
        """The entry that it means for a file."""
        return mapping.entry(coming.proposal, self.formatting, self.ranking, self.columns)


def _judge(coming: Candidate, chosen: Chosen, folder: str, lang: str) -> list[Update]:
    """Updates of what was found, the example and Register."""
    entry = chosen.entry(coming)
    one = mapping.example(coming, entry)
    bad_name = mapping.name_problem(chosen.name, folder, lang)
    found = mapping.reasons(coming.proposal, lang)
    return [
        tree(found, *([row_tree.wrong(bad_name)] if bad_name else [])),
        tree(*mapping.draw_example(one, mapping.kind(coming.proposal, entry), lang)),
        gr.update(interactive=not bad_name and mapping.is_usable(one)),
    ]


def _judged_parts(parts: Parts) -> list[Any]:
    return [parts[name] for name in ("found", "example", "register")]


def _propose(coming: Candidate, suggested: str, folder: str, lang: str) -> list[Update]:
    """The form filled with what was proposed, and judged."""
    entry = coming.proposal.entry
    chosen = Chosen(
        mapping.free_name(suggested, folder),
        str(entry.get("formatting", "alpaca")),
        bool(entry.get("ranking")),
        coming.proposal.columns,
    )
    values = {"name": chosen.name, "format": chosen.formatting, "ranking": chosen.ranking}
    columns = {role: chosen.columns.get(role, "") for role in mapping.ROLES}
    filled = gr.update(value={**values, **columns, COLUMNS: coming.columns})
    return [filled, *_judge(coming, chosen, folder, lang)]


def _wire_sources(parts: Parts, place: Place) -> None:
    outputs = [
        *(parts[name] for name in ("coming", "problem", "details", "notice", "file")),
        parts["columns"].box,
        *_judged_parts(parts),
    ]
    skipped = [gr.skip()] * (1 + len(_judged_parts(parts)))

    def opened(path: Path, name: str, lang: str, folder: str, *, upload: bool) -> list[Any]:
        try:
            coming = datasets.accept_upload(path) if upload else datasets.accept_file(path, None)
        except TuneboardError as error:
            _discard(path)
            return [None, problem(error, lang), hidden(), tree(), None, *skipped]
        filled = _propose(coming, name, folder, lang)
        return [coming, tree(), gr.update(visible=True), tree(), gr.skip(), *filled]

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
        return [None, tree(), hidden(), tree(), None, *skipped]

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
    form, outputs = parts["columns"], _judged_parts(parts)

    def change(lang: str, folder: str, coming: Candidate | None, fields: Any) -> list[Any]:
        if coming is None:
            return [gr.skip()] * len(outputs)
        return _judge(coming, Chosen.of(form, fields), folder, lang)

    gr.on(
        [form.box.change, place.lang.change],
        change,
        [place.lang, place.dataset_dir, parts["coming"], form.box],
        outputs,
        trigger_mode="always_last",
        **QUIET,
    )


def problem(error: TuneboardError, lang: str) -> Update:
    """What is wrong, shown."""
    texts = (mapping.describe_problem(each, lang) for each in error.problems)
    update: Update = tree(*map(row_tree.wrong, texts))
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
