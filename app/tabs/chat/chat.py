"""The Chat tab: load a model into a child, talk to it, base and tuned side by side."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.form.form import Form, change
from app.form.schema import EXTRA, Section
from app.i18n import say, t
from app.problems import problem_lines
from app.services.chat import chat_client, chat_turns
from app.services.models.catalog import is_adapter
from app.tabs.chat import chat_feedback, plain_chatbot
from app.tabs.chat.plain_chatbot import PlainChatbot
from app.tabs.shared import message
from app.tabs.shared.context import Context, in_turn
from app.tabs.shared.wiring import QUIET
from backend.contract.arguments.arguments import check_parsed, resolve
from backend.contract.base import boundary
from backend.contract.base.home import home, relative
from backend.contract.base.problems import TuneboardError, UsageError, errors
from backend.contract.models.model_folder import adapter_base
from backend.contract.preflight.preflight import check_paths

SAMPLING = ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty")
ENGINE = ("infer_dtype", "infer_backend", "skip_special_tokens")
OPTIONS = ("temperature", "top_p", "top_k", "repetition_penalty")
START = {"max_new_tokens": 512}
SECTIONS = (
    Section("sampling", "", SAMPLING, slot="first", width=2),
    Section("engine", "chat.more", (*ENGINE, EXTRA.name), closed=True, width=1),
)
ROLES = [("chat.role_user", "user"), ("chat.role_observation", chat_turns.RESULT)]
DRAW_S = 0.15  # a browser that draws each token of a small model has no time for Stop
History = list[dict[str, Any]]


def build(context: Context) -> dict[str, Any]:
    """Draw the tab and wire it; `open` lets the other tabs load a run here."""
    texts = context.texts
    form = Form("api", "chat", SECTIONS, own=[EXTRA], start=START, bar=context.bar)
    parts: dict[str, Any] = {}
    with gr.Row(elem_classes="columns"):
        with gr.Column(scale=3, min_width=320):
            with gr.Row():
                for name in ("load", "unload"):
                    parts[name] = _button(texts, name, "primary" if name == "load" else "secondary")
            parts["status"] = gr.Textbox(
                value=t("chat.none"),
                interactive=False,
                max_lines=8,
                elem_id="chat-status",
                **say({"label": "chat.status"}),
            )
            texts.add(parts["status"], label="chat.status")
            with gr.Row():
                parts["tuned"] = _chatbot(texts, "tuned")
                parts["base"] = _chatbot(texts, "base", visible=False)
            kept = chat_feedback.draw_choice(texts)
            parts["message"] = texts.make(
                gr.Textbox,
                {"label": "chat.message", "placeholder": "chat.placeholder"},
                lines=2,
                elem_id="chat-message",
            )
            parts["note"] = message.note(texts, "chat-note", container=False, lines=1)
            with gr.Row(elem_classes="buttons"):
                for name in ("send", "stop", "again", "clear"):
                    parts[name] = _button(texts, name, "primary" if name == "send" else "secondary")
        with gr.Column(scale=1, min_width=260):
            _settings(context, form, parts)
            kept |= chat_feedback.draw_set(texts)
    _wire_model(context, form, parts)
    _wire_talk(context, form, parts)
    _keep(context, parts)
    chat_feedback.wire(kept, parts, context.lang)
    parts["side_by_side"].change(
        lambda both: [gr.update(visible=both)] * 2,
        parts["side_by_side"],
        [parts["base"], kept["choice"]],
        api_visibility="private",
    )
    return parts


def _keep(context: Context, parts: dict[str, Any]) -> None:
    """The settings and, until the browser's tab is closed, what was said."""
    names = ("side_by_side", "system", "tools", "escape", "seed")
    context.keeper.add("chat", {name: parts[name] for name in names})

    def turns(values: dict[str, Any]) -> dict[str, Any]:
        columns = {side: chat_turns.read_history(values.get(side)) for side in ("tuned", "base")}
        return {**values, **columns}

    context.keeper.add("talk", {name: parts[name] for name in ("message", "tuned", "base")}, turns)


def _settings(context: Context, form: Form, parts: dict[str, Any]) -> None:
    texts = context.texts
    parts["side_by_side"] = texts.make(
        gr.Checkbox,
        {"label": "chat.side_by_side", "info": "chat.side_by_side_help"},
        value=False,
        elem_id="chat-side-by-side",
    )
    parts["system"] = texts.make(
        gr.Textbox, {"label": "chat.system"}, lines=2, elem_id="chat-system"
    )
    parts["role"] = texts.make(
        gr.Dropdown,
        {"label": "chat.role", "choices": ROLES},
        value="user",
        elem_id="chat-role",
    )
    parts["tools"] = texts.make(
        gr.Textbox,
        {"label": "chat.tools", "info": "chat.tools_help"},
        value="",
        lines=2,
        max_lines=10,
        elem_id="chat-tools",
    )
    parts["escape"] = texts.make(
        gr.Checkbox,
        {"label": "chat.escape", "info": "chat.escape_help"},
        value=True,
        elem_id="chat-escape",
    )
    parts["seed"] = texts.make(
        gr.Textbox,
        {"label": "chat.seed", "info": "chat.seed_help"},
        value="",
        max_lines=1,
        elem_id="chat-seed",
    )
    form.draw(context.schemas)


def _button(texts: Any, name: str, variant: str) -> Any:
    key = f"chat.{name}"
    return texts.make(
        gr.Button, {"value": key}, elem_id=f"chat-{name}", variant=variant, min_width=90
    )


def _chatbot(texts: Any, name: str, visible: bool = True) -> Any:
    key = f"chat.column_{name}"
    return texts.make(
        PlainChatbot,
        {"label": key},
        height=420,
        visible=visible,
        elem_id=f"chat-{name}",
        render_markdown=False,
        latex_delimiters=[],
        sanitize_html=True,
        buttons=["copy", "copy_all"],  # by default also one that sends the chat to a web site
    )


def _wire_model(context: Context, form: Form, parts: dict[str, Any]) -> None:
    def load(lang: str, *given: Any) -> str:
        values, problems = form.values(given)
        wrong = errors(check_parsed(values, problems, "api")) or errors(check_paths(values, "api"))
        if wrong:
            return problem_lines(wrong, lang)
        chat_client.load(values)
        return t("chat.loading", lang)

    parts["load"].click(
        load, [context.lang, *form.inputs], parts["status"], api_visibility="private"
    )

    def unload(lang: str) -> str:
        chat_client.unload()
        return t("chat.none", lang)

    parts["unload"].click(unload, context.lang, parts["status"], api_visibility="private")
    gr.on(
        [context.news.chat.change, context.lang.change],
        describe,
        context.lang,
        parts["status"],
        show_progress="hidden",
        api_visibility="private",
    )
    columns = [parts["tuned"], parts["base"]]
    parts["escape"].change(
        lambda plain, *columns: [plain_chatbot.shown(turns, plain) for turns in columns],
        [parts["escape"], *columns],
        columns,
        api_visibility="private",
    )
    gr.on(
        [parts["tools"].change, context.lang.change],
        _check_tools,
        [context.lang, parts["tools"]],
        parts["tools"],
        show_progress="hidden",
        api_visibility="private",
    )


def _check_tools(lang: str, text: str) -> Any:
    """The problem of the tools beside their box."""
    try:
        chat_turns.parse_tools(text)
    except TuneboardError as error:
        return gr.update(info="⚠ " + error.problems[0].text(lang), elem_classes=["wrong"])
    return gr.update(info=t("chat.tools_help", lang), elem_classes=[])


def describe(lang: str) -> str:
    """The state of the loaded model in words."""
    status = chat_client.status()
    text = t(f"chat.{status.state}", lang, model=status.model, detail=status.detail)
    return "\n".join([text, *(f"ⓘ {notice.text(lang)}" for notice in status.notices)])


def _wire_talk(context: Context, form: Form, parts: dict[str, Any]) -> None:
    """One answer is written at a time: what is sent meanwhile, or while the model is being loaded,
    stays in its box, which is said."""
    columns, talk = [parts["tuned"], parts["base"]], gr.State(chat_turns.Talk())
    boxes = [parts[name] for name in ("side_by_side", "system", "seed", "tools")]
    inputs = [talk, context.lang, *boxes, *columns, *form.inputs]

    def answer(
        talk: chat_turns.Talk,
        lang: str,
        both: bool,
        system: str,
        seed: str,
        tools: str,
        *given: Any,
    ) -> Iterator[list[Any]]:
        question = talk.begin()
        if question is None:  # refused, or broken off before it began
            yield [*([[], []] if talk.cleared else [gr.skip()] * 2), gr.skip()]
            return
        histories = list(given[:2]) if both else [given[0]]
        try:
            options = _options(form, given[2:], seed, tools)
            for drawn in _answers(histories, system, options, lang):
                if not talk.goes_on(question):
                    break
                yield [*drawn, gr.skip()]
            # What is still on its way to the page comes before this.
            yield [*([[], []] if talk.cleared else [gr.skip()] * 2), gr.update(visible=False)]
        except TuneboardError as error:
            words = problem_lines(error.problems, lang)
            failed = [_failed(history, words) for history in histories]
            yield [*failed, *[gr.skip()] * (2 - len(histories)), gr.update(visible=False)]
        finally:
            talk.end(question)

    asked, repeated = _wire_questions(context, parts, columns, talk)
    for event in (asked, repeated):
        event.then(answer, inputs, [*columns, parts["note"]], **QUIET)
    context.news.chat.change(lambda: gr.update(visible=False), None, parts["note"], **QUIET)

    @in_turn("talk")
    def stop(talk: chat_turns.Talk) -> Any:
        talk.stop()
        return gr.update(visible=False)

    @in_turn("talk")
    def clear(talk: chat_turns.Talk) -> list[Any]:
        talk.clear()
        return [gr.update(visible=False), [], []]

    parts["stop"].click(stop, talk, parts["note"], **QUIET)
    parts["clear"].click(clear, talk, [parts["note"], *columns], **QUIET)


def _wire_questions(
    context: Context, parts: dict[str, Any], columns: list[Any], talk: Any
) -> list[Any]:
    """Send and Again; their events, after which an answer is to be written."""

    def in_way(talk: chat_turns.Talk, lang: str) -> Any:
        """The note why no answer can be begun now; None: it can."""
        if not talk.busy and chat_client.status().state != "loading":
            return None
        key = "chat.busy" if talk.busy else "chat.still_loading"
        return gr.update(visible=True, value=t(key, lang))

    @in_turn("talk")
    def ask(
        talk: chat_turns.Talk, lang: str, both: bool, words: str, role: str, *histories: Any
    ) -> list[Any]:
        if note := in_way(talk, lang):
            return [*[gr.skip()] * 4, note]
        if not words.strip():
            return [gr.skip()] * 5
        talk.ask()
        turn = chat_turns.user_turn(words, role, t("chat.role_observation", lang))
        tuned, base = histories
        beside = [*(base or []), turn] if both else gr.skip()
        return ["", "user", [*(tuned or []), turn], beside, gr.update(visible=False)]

    @in_turn("talk")
    def again(talk: chat_turns.Talk, lang: str, *histories: History) -> list[Any]:
        if note := in_way(talk, lang):
            return [*[gr.skip()] * 2, note]
        shorter = [_without_answer(history or []) for history in histories]
        if any(shorter):
            talk.ask()
        return [*shorter, gr.update(visible=False)]

    state = [talk, context.lang]
    boxes = [parts["message"], parts["role"], *columns]
    outputs = [*columns, parts["note"]]
    asked = gr.on(
        [parts["send"].click, parts["message"].submit],
        ask,
        [*state, parts["side_by_side"], *boxes],
        [parts["message"], parts["role"], *outputs],
        **QUIET,
    )
    return [asked, parts["again"].click(again, [*state, *columns], outputs, **QUIET)]


def _options(form: Form, given: Sequence[Any], seed: str, tools: str) -> dict[str, Any]:
    """How an answer is to be sampled, as the API takes it. Raises UsageError."""
    values, problems = form.values(given)
    if errors(problems):
        raise UsageError(*errors(problems))
    return {
        **{name: values[name] for name in OPTIONS},
        "max_tokens": resolve(values).max_new_tokens,
        "seed": chat_turns.parse_seed(seed),
        "tools": chat_turns.parse_tools(tools) or None,
    }


def _answers(
    histories: list[History], system: str, options: dict[str, Any], lang: str
) -> Iterator[list[Any]]:
    """The columns while the tokens come: the tuned answer first, then the base's beside it."""
    hidden = [gr.skip()] * (2 - len(histories))
    for index, history in enumerate(histories):
        if not history or history[-1]["role"] != "user":
            continue
        messages = chat_turns.messages(history, system)
        history.append({"role": "assistant", "content": ""})
        drawn = 0.0
        try:
            for piece in chat_client.stream(_model(index), messages, options):
                history[-1]["content"] += piece
                if time.monotonic() - drawn >= DRAW_S:
                    yield [*histories, *hidden]
                    drawn = time.monotonic()
        except TuneboardError as error:
            histories[index] = _failed(history, problem_lines(error.problems, lang))
        yield [*histories, *hidden]


def _model(column: int) -> str:
    """What the child calls the model of a column. Raises TuneboardError: there is none."""
    names = chat_client.models()
    return "base" if column and "base" in names else names[0]


def _without_answer(history: History) -> History:
    kept = list(history)
    while kept and kept[-1]["role"] == "assistant":
        kept.pop()
    return kept


def _failed(history: History, words: str) -> History:
    """A column with the reason in place of its answer; an answer that had begun is kept."""
    failed = {"role": "assistant", "content": f"{chat_turns.FAILED}{words}"}
    return [*(turn for turn in history or [] if turn["content"]), failed]


def open_run(folder: str) -> Any:
    """The update of the model bar that chooses a finished run: its adapter, or its own weights."""
    path = Path(folder)
    if boundary.refusal(path) is None and is_adapter(path):
        model, adapters = adapter_base(path), [relative(path)]
    else:
        model, adapters = relative(path if path.is_absolute() else home() / path), []
    return change({"model_name_or_path": model, "adapter_name_or_path": adapters})
