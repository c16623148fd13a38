"""A box that fetches from a hub: search, download with its progress, what lies on this disk."""

from collections.abc import Callable
from typing import Any

from app.form.component import Question, answer, make_component
from app.i18n import TextKeys, in_all, t
from app.services.hub import questions, transfers, view
from backend.contract.arguments.fields import FIELDS
from backend.contract.models.model_folder import HUB_ID
from backend.contract.registry.dataset_info import HUBS
from backend.contract.texts.problems import ModelError, Problem
from backend.contract.texts.terminal_text import decimal_size

WORDS = (
    *("words", "hub", "token", "token_hint", "search", "searching", "get", "cancel", "resume"),
    *("use", "delete", "keep", "disk", "none", "used", "unread", "look"),
)
TOKENS = {"huggingface": "hf_hub_token", "modelscope": "ms_hub_token"}
LOOKS = ["huggingface"]  # hubs whose data sets can be looked at before they are downloaded
EXAMPLES = {"model": "qwen3 0.6b", "dataset": "alpaca"}  # of words to search for
COMMANDS = {"model": ("models", "get"), "dataset": ("data", "get")}


def draw(kind: str, bar: str, *, visible: bool | str = True) -> Any:
    """Draw it here; `bar` is the name of the form that holds the tokens, and takes a model over.
    Its value is the name of a data set that was chosen in it."""
    keys = {name: f"hub.{name}" for name in WORDS}
    keys |= {f"on_{hub}": f"choice.hub_name.{hub}" for hub in HUBS}
    keys["title"] = f"hub.title_{kind}"
    return make_component(
        "hub",
        '<details class="hub list"></details>',
        "",
        events=["use"],
        functions=_functions(kind),
        elem_id=f"hub-{kind}",
        visible=visible,
        kind=kind,
        form=bar,
        tokens=TOKENS,
        hubs=list(HUBS),
        looks=LOOKS,
        example=EXAMPLES[kind],
        words=TextKeys(keys),
    )


def _functions(kind: str) -> list[Callable[[Any], Question]]:
    """What the script may ask: its questions hold the names of a hub and of a thing on it."""

    def search(asked: Any) -> Question:
        return answer(lambda question, lang: _search(kind, question, lang), asked)

    def get(asked: Any) -> Question:
        return answer(lambda question, lang: _get(kind, question, lang), asked)

    def cancel(asked: Any) -> Question:
        return answer(lambda question, lang: _cancel(kind, question, lang), asked)

    def progress(asked: Any) -> Question:
        return answer(lambda _, lang: _progress(kind, lang), asked)

    def disk(asked: Any) -> Question:
        return answer(lambda _, lang: _disk(kind, lang), asked)

    def remove(asked: Any) -> Question:
        return answer(lambda question, _: _remove(kind, question), asked)

    def look(asked: Any) -> Question:
        return answer(_look, asked)

    return [search, get, cancel, progress, disk, remove, *([look] if kind == "dataset" else [])]


def _search(kind: str, question: Question, lang: str) -> Question:
    hub, words = _read_hub(question), str(question.get("words", "")).strip()
    rows = questions.search(kind, hub, words, _read_secrets(question)) if words else []
    return {"rows": view.describe_results(rows, lang)}


def _get(kind: str, question: Question, lang: str) -> Question:
    hub, name = _read_hub(question), _read_name(question)
    words = [*COMMANDS[kind], name, "--hub_name", hub]
    transfers.start(kind, hub, name, words, _read_secrets(question))
    return _progress(kind, lang)


def _cancel(kind: str, question: Question, lang: str) -> Question:
    transfers.cancel(kind, _read_hub(question), str(question.get("name", "")))
    return _progress(kind, lang)


def _progress(kind: str, lang: str) -> Question:
    return {"rows": [view.describe_transfer(each, lang) for each in transfers.look(kind)]}


def _disk(kind: str, lang: str) -> Question:
    return view.describe_disk(questions.list_downloads(kind), lang)


def _remove(kind: str, question: Question) -> Question:
    name = str(question.get("name", ""))
    size = decimal_size(questions.remove(kind, name)["size"])
    transfers.forget(kind, name)
    return {"words": in_all(lambda lang: t("cli.download_removed", lang, name=name, size=size))}


def _look(question: Question, lang: str) -> Question:
    hub, name = _read_hub(question), _read_name(question)
    return view.describe_look(questions.look(hub, name, _read_secrets(question)), lang)


def _read_name(question: Question) -> str:
    """The id of a model or data set. Raises ModelError for what is none."""
    name = str(question.get("name", "")).strip()
    if not HUB_ID.fullmatch(name):
        raise ModelError(Problem(code="hub_has_no_model", params={"name": name[:80]}))
    return name


def _read_hub(question: Question) -> str:
    hub = str(question.get("hub", ""))
    return hub if hub in HUBS else next(iter(HUBS))


def _read_secrets(question: Question) -> dict[str, str]:
    """The token that was typed, as the variable that the libraries read it from."""
    token = str(question.get("token", "")).strip()
    return {FIELDS[TOKENS[_read_hub(question)]].to: token} if token else {}
