"""The Chat tab: talk to a model, base and tuned side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import change
from app.i18n import t
from app.services.chat.conversation import Conversation
from app.services.models import catalog
from app.tabs.chat import chat_feedback, columns, model_control, settings
from app.tabs.chat.answering import Answering
from app.tabs.shared import message
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.field import Values
from backend.contract.folders.home import home, relative
from backend.contract.models.model_folder import adapter_base
from backend.contract.runs.model_folders import is_adapter
from backend.contract.system import boundary


def build(context: Context) -> dict[str, Any]:
    """Draw the tab and wire it."""
    form = settings.make_form(context)
    with gr.Row(elem_id="chat", elem_classes="columns"):
        with gr.Column(scale=3, min_width=320, elem_id="chat-talk"):
            parts = _draw_talk(context)
        with gr.Column(scale=1, min_width=280, elem_id="chat-settings"):
            parts |= settings.draw(context, form)
    model_control.wire(context, form, parts)
    Answering(context, form, parts).wire()
    chat_feedback.wire(parts, context.lang)
    _wire_look(context, parts)
    _offer_result(context, parts)
    _keep(context, parts)
    return parts


def _draw_talk(context: Context) -> dict[str, Any]:
    """The state of the model above the columns, the message box below."""
    texts = context.texts
    with gr.Row(elem_id="chat-head"):
        parts = model_control.draw(context)
        parts["side_by_side"] = texts.make(
            gr.Checkbox,
            {"label": "chat.side_by_side"},
            value=False,
            container=False,
            min_width=96,
            elem_id="chat-side-by-side",
        )
        parts["settings"] = texts.make(
            gr.Checkbox,
            {"label": "chat.settings"},
            value=True,
            container=False,
            min_width=96,
            elem_id="chat-show-settings",
        )
    with gr.Row(elem_id="chat-columns"):
        parts |= columns.draw(texts)
    parts |= chat_feedback.draw_choice(texts)
    parts["note"] = message.note(texts, "chat-note", container=False, lines=1, max_lines=6)
    parts["message"] = texts.make(
        gr.Textbox,
        {"label": "chat.message", "placeholder": "chat.placeholder"},
        show_label=False,
        lines=1,  # so that Enter sends, and Shift and Enter begin a new line
        max_lines=8,
        submit_btn=t("chat.send"),
        elem_id="chat-message",
    )
    parts["turns"] = gr.Textbox(visible="hidden", show_label=False, elem_id="chat-turns")
    return parts


def _wire_look(context: Context, parts: dict[str, Any]) -> None:
    """What the controls change at once: a second column, the look of texts, the tools' problem."""
    parts["side_by_side"].change(
        lambda both: [gr.update(visible=both)] * 2,
        parts["side_by_side"],
        [parts["base"], parts["choice"]],
        **QUIET,
    )
    gr.on([parts["escape"].change, context.lang.change], **_redraw(context, parts), **QUIET)
    gr.on(
        [parts["tools"].change, context.lang.change],
        settings.check_tools,
        [context.lang, parts["tools"]],
        parts["tools"],
        **QUIET,
    )


def _redraw(context: Context, parts: dict[str, Any]) -> dict[str, Any]:
    """The event that shows the conversation anew."""
    return {
        "fn": lambda turns, as_it_is, lang: columns.redraw(
            Conversation.read(turns), as_it_is, lang
        ),
        "inputs": [parts["turns"], parts["escape"], context.lang],
        "outputs": [parts["tuned"], parts["base"]],
    }


def _offer_result(context: Context, parts: dict[str, Any]) -> None:
    """The columns are titled by what is chosen. The empty conversation offers the newest finished
    run unless that is chosen: one press chooses it."""

    def follow(lang: str, bar: Any) -> list[Any]:
        chosen = context.bar.read_box(bar)
        tuned, base = _name_columns(chosen, lang)
        return [tuned | {"examples": _list_offers(chosen, lang)}, base]

    def choose(event: gr.SelectData, lang: str) -> list[Any]:
        return begin(home() / event.value["text"], lang)

    gr.on(
        [context.news.runs["chat"].change, context.lang.change, context.bar.box.change],
        follow,
        [context.lang, context.bar.box],
        [parts["tuned"], parts["base"]],
        trigger_mode="always_last",
        **QUIET,
    )
    chosen = [context.bar.box, parts["tuned"], parts["base"]]
    parts["tuned"].example_select(choose, context.lang, chosen, **QUIET)


def _list_offers(chosen: Mapping[str, Any], lang: str) -> list[dict[str, str]]:
    """The newest finished run, as Gradio's Chatbot takes it; none where it is chosen in the model
    bar, or where there is no such run."""
    result = catalog.newest_result()
    if result is None:
        return []
    label, folder = result
    if all(chosen[name] == value for name, value in _result_of(home() / folder).items()):
        return []
    return [{"text": folder, "display_text": t("chat.newest", lang, name=label)}]


def _keep(context: Context, parts: dict[str, Any]) -> None:
    """The settings and, until the browser's tab is closed, what was said."""
    names = ("settings", "side_by_side", "system", "tools", "escape", "seed")
    context.keeper.add("chat", {name: parts[name] for name in names})

    def check(boxes: dict[str, Any]) -> dict[str, Any]:
        return {**boxes, "turns": Conversation.read(boxes.get("turns")).text()}

    context.keeper.add("talk", {name: parts[name] for name in ("message", "turns")}, check)
    context.keeper.then(**_redraw(context, parts))


def open_run(path: Path) -> Any:
    """The update of the model bar that chooses what a run has made, an adapter or whole weights."""
    return change(_result_of(path))


def begin(path: Path, lang: str) -> list[Any]:
    """Updates of the model bar and of both columns, which are titled by a run: what it has made is
    what answers next."""
    result = _result_of(path)
    return [change(result), *_name_columns(result, lang)]


def _name_columns(chosen: Mapping[str, Any], lang: str) -> list[Any]:
    """Updates of both columns, titled by what the model bar holds."""
    values: Values = {
        "model_name_or_path": chosen["model_name_or_path"],
        "adapter_name_or_path": ",".join(chosen["adapter_name_or_path"] or []) or None,
    }
    return model_control.name_columns(lang, values)


def _result_of(path: Path) -> dict[str, Any]:
    """The values of the model bar for what a run has made."""
    if boundary.refusal(path) is None and is_adapter(path):
        # its config names the base by its whole path, the list of models by the short one
        base = adapter_base(path)
        shown = relative(Path(base)) if base else ""
        return {"model_name_or_path": shown, "adapter_name_or_path": [relative(path)]}
    return {"model_name_or_path": relative(path), "adapter_name_or_path": []}
