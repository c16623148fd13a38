"""The model behind the conversation: its state in words, and one button that loads or ends it."""

import datetime
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.form.form import Form
from app.i18n import say, t
from app.problems import problem_lines
from app.services.chat import chat_client
from app.services.runs.run_text import plain
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.arguments import check_parsed
from backend.contract.arguments.field import Values
from backend.contract.preflight.model_server import Status
from backend.contract.preflight.preflight import check_paths
from backend.contract.texts.problems import Problem, errors

STATES = {"loading": "loading_since"}  # whose text has another name
ACTIONS = {"loading": "cancel", "ready": "unload"}  # what the button does; else it loads


def draw(context: Context) -> dict[str, Any]:
    """Draw the state and the button."""
    status = gr.Textbox(
        value=t("chat.none"),
        interactive=False,
        container=False,
        show_label=False,
        lines=1,
        max_lines=8,
        elem_id="chat-status",
        **say({"label": "chat.status"}),
    )
    context.texts.add(status, label="chat.status")
    load = gr.Button(t("chat.load"), elem_id="chat-load", size="sm", min_width=96)
    return {"status": status, "load": load}


def wire(context: Context, form: Form, parts: dict[str, Any]) -> None:
    """The button loads and ends the model; state and titles follow what becomes of it."""

    def press(lang: str, *box_values: Any) -> list[Any]:
        if chat_client.status().state in ACTIONS:
            chat_client.unload()
        elif wrong := prepare(form, box_values):
            return [gr.update(value=problem_lines(wrong, lang)), gr.skip(), gr.skip(), gr.skip()]
        return follow(lang, *box_values)

    def follow(lang: str, *box_values: Any) -> list[Any]:
        return [*describe(lang), *name_columns(lang, form.values(box_values)[0])]

    inputs = [context.lang, *form.inputs]
    outputs = [parts[name] for name in ("status", "load", "tuned", "base")]
    parts["load"].click(press, inputs, outputs, **QUIET)
    gr.on([context.news.chat.change, context.lang.change], follow, inputs, outputs, **QUIET)


def prepare(form: Form, box_values: Sequence[Any]) -> list[Problem]:
    """Begin to load the chosen model unless it is loaded, or none is chosen and another one is
    loaded; what is in the way."""
    values, problems = form.values(box_values)
    status = chat_client.status()
    if status.state in ACTIONS and not values["model_name_or_path"]:
        return []
    wrong = errors(check_parsed(values, problems, "api")) or errors(check_paths(values, "api"))
    if not wrong and not chat_client.serves(values):
        chat_client.load(values)
    return wrong


def describe(lang: str) -> list[Any]:
    """Updates of the state in words, and of the button."""
    status = chat_client.status()
    lines = [_state(status, lang), *(f"ⓘ {notice.text(lang)}" for notice in status.notices)]
    action = ACTIONS.get(status.state, "load")
    return ["\n".join(lines), gr.update(value=t(f"chat.{action}", lang))]


def name_columns(lang: str, values: Values) -> list[Any]:
    """Updates of both columns, titled by what is loaded, else by what these values would load; the
    empty conversation says how it begins."""
    is_loaded = chat_client.status().state in ACTIONS
    name, base = chat_client.titles() if is_loaded else chat_client.name_columns(values)
    words = t("chat.chosen", lang, name=plain(name)) if name else t("chat.empty", lang)
    return [
        gr.update(label=name or t("chat.column_tuned", lang), placeholder=words),
        gr.update(label=t("chat.column_base", lang, name=base or name).strip()),
    ]


def describe_loading(lang: str) -> str:
    """Which model is being loaded, and since when; "" where none is."""
    status = chat_client.status()
    return _state(status, lang) if status.state == "loading" else ""


def clock_time(seconds: float) -> str:
    """A moment, in seconds since 1970, as the clock of this machine shows it."""
    return f"{datetime.datetime.fromtimestamp(seconds):%H:%M:%S}"


def _state(status: Status, lang: str) -> str:
    since = clock_time(status.since)
    words = {"model": status.model, "detail": status.detail, "since": since}
    return t(f"chat.{STATES.get(status.state, status.state)}", lang, **words)
