"""A component that a script of app/browser draws from native elements."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

MOUNT = """const events = %s;
import(new URL("own/browser/%s.js", document.baseURI).href).then(
  (module) => module.mount({element, props, server, trigger, watch, events})
);"""
CODE = ("${", "{{")  # what Gradio runs in a template


def make_component(
    script: str,
    template: str,
    value: Any = None,
    *,
    events: Sequence[str] = (),
    functions: Sequence[Callable[..., Any]] | None = None,
    elem_classes: str = "",
    **properties: Any,
) -> Any:
    """The component that app/browser/<script>.js draws into the elements of `template`.

    The template is constant and holds no placeholder, as Gradio runs those as code; data comes
    only through the value and the properties, which scripts set as text.

    events     what the script triggers, each a method of the component
    functions  what the script may ask of the server, by their names
    """
    assert not any(mark in template for mark in CODE)
    return gr.HTML(
        value,
        html_template=template,
        js_on_load=MOUNT % ([*events], script),
        apply_default_css=False,
        elem_classes=["own", *elem_classes.split()],
        server_functions=list(functions) if functions else None,
        **properties,
    )
