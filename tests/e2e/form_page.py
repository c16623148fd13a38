"""A small Gradio page with one form and its launch box: made-up fields, and a judge of our own."""

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

from app.form.component import data_of, make_call, make_component
from app.form.form import change
from app.theme import THEME
from app.web.server import Modules
from tests.bench import free_port
from tests.e2e.conftest import ROOT

FORM = '<div class="form-first"></div>@children<div class="form-rest"></div>'
STAGES = [["sft", "Supervised fine-tuning"], ["dpo", "DPO"], ["pt", "Pre-training"]]
WORDS = {
    "more_about": "About this",
    "changed": "Differs from the default",
    "put_back": "Put back",
    "range": "Range",
    "docs": "Documentation",
    "options": "Choices",
    "no_match": "Nothing fits.",
    "free_text": "Enter takes what is typed.",
    "remove": "Remove",
    "open_list": "Open the list",
    "loading": "Looking...",
    "unchecked": "This could not be looked up.",
    "mode": "Settings",
    "simple": "Simple",
    "advanced": "Advanced",
    "hidden_changed": "Hidden and changed:",
    "hidden_wrong": "Hidden and wrong:",
    "show": "Show",
    "defaults": "Defaults",
    "defaults_done": "All are at their defaults.",
    "undo": "Undo",
}
LAUNCH = {
    "start": "Start",
    "heard": "Starting...",
    "problems": "To be mended",
    "command": "Command",
    "copy": "Copy",
    "copied": "Copied",
    "lost": "No answer came. Look at the runs before you start again.",
}


def row(kind: str, label: str, default: Any = "", **more: Any) -> dict[str, Any]:
    """A field of a schema."""
    help_text = f"What {label} does, in a whole sentence that is long enough to fill two lines."
    return {
        "kind": kind,
        "label": label,
        "help": help_text,
        "default": default,
        "choices": [],
        "when": [],
        "offers": "",
        "range": "",
        "doc": "",
        "placeholder": "",
        "secret": kind == "secret",
        "optional": False,
        **more,
    }


FIELDS = {
    "stage": row("radio", "Stage", "sft", choices=STAGES),
    "model": row("one", "Model", offers="model", placeholder="A folder or a name"),
    "dataset": row("several", "Data sets", [], offers="dataset"),
    "learning_rate": row("number", "Learning rate", "5e-5", range="0 to 1", doc="docs/lr"),
    "epochs": row("number", "Epochs", "3"),
    "batch": row("number", "Batch size", "2"),
    "schedule": row(
        "choice", "Schedule", "cosine", choices=[["cosine", "Cosine"], ["linear", "Linear"]]
    ),
    "beta": row("number", "Beta", "0.1", when=[["stage", ["dpo"]]]),
    "loss": row("text", "Preference loss", "sigmoid", when=[["stage", ["dpo"]]]),
    "packing": row("bool", "Packing", False),
    "neat": row("bool", "Neat packing", False, when=[["packing", [True]]]),
    "depth": row("number", "Depth", "", when=[["batch", [8]], ["quantized", [None]]]),
    "modules": row("several", "Modules", [], choices=[["all", "All linear layers"], ["q", "q"]]),
    "token": row("secret", "Hub token"),
    "many": row("one", "Many", offers="many"),
    "extra": row("area", "Further arguments"),
}
SECTIONS = [
    {"id": "main", "title": "", "slot": "first", "rows": [["stage"], ["model", "dataset"]]},
    {
        "id": "numbers",
        "title": "How",
        "slot": "first",
        "rows": [["learning_rate", "epochs", "batch", "schedule"]],
    },
    {"id": "dpo", "title": "Preferences", "slot": "rest", "rows": [["beta", "loss"]]},
    {
        "id": "data",
        "title": "Data",
        "slot": "rest",
        "closed": True,
        "rows": [["packing", "neat", "depth", "modules"]],
    },
    {
        "id": "more",
        "title": "More",
        "slot": "rest",
        "closed": True,
        "rows": [["token", "many"], ["extra"]],
    },
]


def _schema() -> dict[str, Any]:
    return {
        "sections": copy.deepcopy(SECTIONS),
        "fields": dict(FIELDS),
        "simple": [],
        "secrets": ["token"],
        "free": "extra",
        "words": WORDS,
    }


BAR = {
    **_schema(),
    "sections": [{"id": "bar", "title": "", "slot": "rest", "rows": [["quantized"]]}],
    "fields": {"quantized": row("text", "Quantized")},
}


STARTED = {"state": "idle", "texts": dict.fromkeys(("en", "zh"), "Started.")}


@dataclass
class FormPage:
    """The page, and what it was asked. A test may put other data in before a visitor comes.

    slow    seconds until a learning rate is judged, by its text
    follows values that follow from a data set, by its name
    fills   what a press of Fill puts into the form
    changes what a press of Change puts into it, once `answers` is set
    filled  what the form held for the event that followed Change
    offers  what each kind of list offers
    """

    schema: dict[str, Any] = field(default_factory=_schema)
    slow: dict[str, float] = field(default_factory=dict)
    follows: dict[str, dict[str, str]] = field(default_factory=dict)
    offers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=lambda: dict(STARTED))
    fills: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    filled: list[dict[str, Any]] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def judge(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Wrong where the learning rate is no number; the model is what is missing first."""
        self.asked.append(payload)
        followed = self.follow(payload)
        values = {**payload["values"], **followed}
        rate, model = str(values["learning_rate"]), values["model"]
        time.sleep(self.slow.get(rate, 0))
        if rate == "crash":
            raise RuntimeError("a mistake of ours")
        fields, problems = {}, []
        if not model:
            fields["model"] = {"text": "Choose a model.", "level": "error"}
            problems.append("Model: choose one.")
        if not _is_number(rate):
            fields["learning_rate"] = {"text": f"{rate} is no number.", "level": "error"}
            problems.append(f"Learning rate: {rate} is no number.")
        if values["batch"] == "64":
            fields["batch"] = {"text": "64 needs much memory.", "level": "notice"}
        return {
            "ok": True,
            "fields": fields,
            "command": f"tuneboard train --model {model} --learning_rate {rate}",
            "missing": problems[0] if problems else "",
            "missing_field": next(
                (name for name in fields if fields[name]["level"] == "error"), ""
            ),
            "problems": problems,
            "startable": not problems,
            "follow": {
                "values": followed,
                "line": f"Set by the data: {len(followed)}" if followed else "",
                "back": "Use the defaults",
            },
        }

    def follow(self, payload: dict[str, Any]) -> dict[str, str]:
        """What follows from the first data set in fields that nobody has set."""
        values, before = payload["values"], payload["followed"]
        first = next(iter(values.get("dataset", [])), "")
        return {
            name: value
            for name, value in self.follows.get(first, {}).items()
            if name not in payload["own"]
            and values[name] in (FIELDS[name]["default"], before.get(name))
        }

    def offer(self, payload: dict[str, Any]) -> dict[str, Any]:
        if payload["kind"] == "many":
            pairs = [[f"org/model-{n}", f"Model {n}"] for n in range(1000)]
            return {"ok": True, "groups": [{"title": "Catalog", "options": pairs}]}
        groups = self.offers.get(payload["kind"])
        return (
            {"ok": True, "groups": groups}
            if groups
            else {"ok": False, "errors": {"en": "Not readable."}}
        )

    def change(self) -> Any:
        """Change some fields, late."""
        self.answers.wait(10)
        return change(self.changes)

    def build(self) -> gr.Blocks:
        """The Blocks: form, launch box, and buttons that do what Python's events would."""

        def judge(payload: Any) -> Any:
            return self.judge(payload)

        def offers(payload: Any) -> Any:
            return self.offer(payload)

        def start(value: Any) -> Any:
            self.started.append(value)
            return gr.update(value=self.answer)

        with gr.Blocks(analytics_enabled=False, fill_width=True) as page:
            bar = make_component(
                "form",
                '<div class="form-rest"></div>',
                functions=[judge, offers],
                form="bar",
                prefix="bar-",
                schema="own/form/bar",
                bar="",
                address=[],
                following=[],
                preselected={},
            )
            with gr.Row():
                with (
                    gr.Column(scale=5),
                    make_component(
                        "form",
                        FORM,
                        {},
                        functions=[judge, offers],
                        form="t",
                        prefix="t-",
                        schema="own/form/train",
                        bar="bar",
                        address=["stage"],
                        following=["learning_rate", "epochs"],
                        preselected={},
                    ) as form,
                ):
                    gr.Markdown("A preview of the data.")
                with gr.Column(scale=3):
                    launch = make_component(
                        "launch",
                        '<div class="launch"></div>',
                        {"state": "idle", "texts": {}},
                        events=["start"],
                        form="t",
                        prefix="t-",
                        panel="t-run",
                        words={"en": LAUNCH, "zh": LAUNCH},
                    )
            with gr.Row():
                language = gr.Button("Chinese", elem_id="chinese")
                fill = gr.Button("Fill", elem_id="fill")
                outer = gr.Button("Outer", elem_id="outer")
                later = gr.Button("Change", elem_id="change")
            launch.start(start, form, launch, show_progress="hidden")
            language.click(None, None, None, js=make_call("language", "speak", "zh"))
            fill.click(lambda: gr.update(value=self.fills), None, form)
            later.click(self.change, None, form).then(self.filled.append, form)
            outer.click(lambda: gr.update(value={"quantized": "4"}), None, bar)
        return page

    @contextmanager
    def serve(self) -> Iterator["FormPage"]:
        """The page on its port, in a thread of this process."""
        api = FastAPI()
        api.mount("/own/browser", Modules(directory=ROOT / "app" / "browser"))

        @api.get("/own/form/{name}")
        def schema(name: str, lang: str) -> dict[str, Any]:
            return translate(BAR if name == "bar" else self.schema, lang)

        blocks = self.build()

        @api.get("/own/news")
        def news() -> dict[str, str]:
            return {}

        @api.get("/own/components.json")
        def components(lang: str) -> dict[str, Any]:
            return data_of(blocks, lang)

        gr.mount_gradio_app(api, blocks, path="/", theme=THEME, ssr_mode=False)
        config = uvicorn.Config(api, port=self.port, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(20)


def translate(schema: dict[str, Any], lang: str) -> dict[str, Any]:
    """The schema in a language; another than English has a mark before each label and title."""
    if lang == "en":
        return {**schema, "lang": lang}
    fields = {
        name: {
            **data,
            "label": f"中 {data['label']}",
            "choices": [[value, f"中 {text}"] for value, text in data["choices"]],
        }
        for name, data in schema["fields"].items()
    }
    sections = [{**section, "title": f"中 {section['title']}"} for section in schema["sections"]]
    words = {name: f"中 {text}" for name, text in schema["words"].items()}
    return {**schema, "lang": lang, "fields": fields, "sections": sections, "words": words}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
