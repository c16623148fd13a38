"""The controls beside the conversation: system prompt, tools, sampling, what is kept."""

from typing import Any

import gradio as gr

from app.form.form import Form
from app.form.schema import EXTRA, Section
from app.i18n import t
from app.services.chat import chat_turns
from app.services.chat.chat_client import SAMPLING
from app.tabs.chat import chat_feedback
from app.tabs.shared.context import Context
from backend.contract.texts.problems import TuneboardError

ENGINE = ("infer_dtype", "infer_backend", "skip_special_tokens")
START = {"max_new_tokens": 512}
SECTIONS = (
    Section("sampling", "", SAMPLING, slot="first", width=2),
    Section("engine", "chat.more", (*ENGINE, EXTRA.name), closed=True, width=1),
)
ROLES = [("chat.role_user", "user"), ("chat.role_observation", "tool")]


def make_form(context: Context) -> Form:
    """The form of the arguments that a model is loaded, and sampled, with."""
    return Form("api", "chat", SECTIONS, own=[EXTRA], start=START, bar=context.bar)


def draw(context: Context, form: Form) -> dict[str, Any]:
    """Draw all controls; returns them by name, with those of chat_feedback."""
    texts = context.texts
    parts = {
        "system": _box(
            texts,
            {"label": "chat.system", "placeholder": "chat.system_hint"},
            "chat-system",
            lines=2,
        ),
        "role": texts.make(
            gr.Dropdown,
            {"label": "chat.role", "choices": ROLES},
            value="user",
            elem_id="chat-role",
        ),
        "tools": _box(
            texts,
            {"label": "chat.tools", "info": "chat.tools_help"},
            "chat-tools",
            lines=2,
            max_lines=10,
            placeholder='[{"name": "get_weather"}]',
        ),
        "escape": texts.make(
            gr.Checkbox,
            {"label": "chat.escape", "info": "chat.escape_help"},
            value=True,
            elem_id="chat-escape",
        ),
        "seed": _box(
            texts,
            {"label": "chat.seed", "info": "chat.seed_help", "placeholder": "chat.seed_hint"},
            "chat-seed",
            max_lines=1,
        ),
    }
    form.draw(context.schemas)
    return {**parts, **chat_feedback.draw_set(texts)}


def _box(texts: Any, keys: dict[str, str], elem_id: str, **look: Any) -> Any:
    return texts.make(gr.Textbox, keys, value="", elem_id=elem_id, **look)


def check_tools(lang: str, text: str) -> Any:
    """The problem of the tools beside their box."""
    try:
        chat_turns.parse_tools(text)
    except TuneboardError as error:
        return gr.update(info="⚠ " + error.problems[0].text(lang), elem_classes=["wrong"])
    return gr.update(info=t("chat.tools_help", lang), elem_classes=[])
