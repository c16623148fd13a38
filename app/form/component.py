"""Components that scripts of app/browser draw from native elements, and calls of such scripts."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.i18n import TextKeys, pick_language
from app.problems import describe_in_all

MOUNT = (
    'import(new URL("own/browser/mount.js", document.baseURI).href).then(({mount}) => '
    "mount(%s, {element, props, server, trigger, watch, events: %s}));"
)
CALL = (
    '(...values) => import(new URL("own/browser/%s.js", document.baseURI).href)'
    ".then((module) => module.%s(...%s, ...values))"
)
CODE = ("${", "{{")  # what Gradio runs in a template
LOOK = ("elem_id", "visible")
DATA = "own_data"  # the attribute of a component that holds what its script is told

Question = dict[str, Any]


def make_component(
    script: str,
    template: str,
    value: Any = None,
    *,
    events: Sequence[str] = (),
    functions: Sequence[Callable[..., Any]] | None = None,
    elem_classes: str = "",
    **more: Any,
) -> Any:
    """The component that app/browser/<script>.js draws into the elements of `template`.

    The template is constant and holds no placeholder, as Gradio runs those as code; what changes
    comes only through the value, which scripts set as text. There are no further properties:
    Gradio (6.31) sends an update of one without the others, which a tab that was not opened yet
    loses.

    events     what the script triggers, each a method of the component
    functions  what the script may ask of the server, by their names
    more       what of LOOK Gradio takes; all else the script is told once and for all
    """
    data = {name: each for name, each in more.items() if name not in LOOK}
    assert not any(mark in template for mark in CODE)
    place = _place(data)
    component = gr.HTML(
        value,
        html_template=template,
        js_on_load=MOUNT % (json.dumps([script, place]), [*events]),
        apply_default_css=False,
        elem_classes=["own", *elem_classes.split()],
        server_functions=list(functions) if functions else None,
        **{name: each for name, each in more.items() if name in LOOK},
    )
    tell(component, data)
    return component


def tell(component: Any, data: Question) -> str:
    """Let a script be told this data, with the texts of its `TextKeys`; returns the key under which
    app/browser/mount.js finds it."""
    place = _place(data)
    vars(component)[DATA] = {place: data}
    return place


def _place(data: Question) -> str:
    """Make the key under which a script finds its data: a hash, so that equal data is sent once."""
    text = json.dumps(data, sort_keys=True, default=vars)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def data_of(blocks: gr.Blocks, lang: str) -> Question:
    """Collect the data of all components of a page, by key, with texts in one language.

    app/browser/mount.js fetches it in one request; written into each component it would make up a
    third of the page's bytes.
    """
    parts = [vars(block).get(DATA, {}) for block in blocks.blocks.values()]
    return {
        place: {name: _translate(each, lang) for name, each in data.items()}
        for part in parts
        for place, data in part.items()
    }


def _translate(value: Any, lang: str) -> Any:
    return {lang: value.say(lang)} if isinstance(value, TextKeys) else value


def make_call(script: str, function: str, *constants: Any) -> str:
    """What an event takes as `js` to call a function of app/browser/<script>.js: with these
    constants, then the values of the event's inputs. It returns those of its outputs."""
    return CALL % (script, function, json.dumps(constants))


def answer(act: Callable[[Question, str], Question], asked: Any) -> Question:
    """What a script gets that has asked `asked`, {"lang", ...}: what `act` makes of the question
    and the language, {"ok": True, ...}.

    An error would be no rejection there (Gradio 6.31 answers nothing), so it is told.
    """
    question = asked if isinstance(asked, dict) else {}
    lang = pick_language(question.get("lang"))
    try:
        return {"ok": True, **act(question, lang)}
    except Exception as error:  # noqa: BLE001 (an outermost edge)
        return refuse(error)


def refuse(error: Exception) -> Question:
    """The answer that tells an error; the page may change its language while it stands there."""
    return {"ok": False, "errors": describe_in_all(error)}
