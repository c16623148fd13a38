"""What the tabs share: texts, the language, the model bar, the tab strip, the clock's news."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr

from app.form.form import Form, Schemas
from app.i18n import Texts
from app.tabs.shared.clock import News
from app.tabs.shared.keeping import Keeper


@dataclass(frozen=True)
class Context:
    """Handed to each tab's build(); `bar` is the model bar's form, `schemas` what each form draws,
    `news` what the page's clock tells, `keeper` what a reload is to bring back."""

    texts: Texts
    page: gr.Blocks
    lang: Any
    bar: Form
    schemas: Schemas
    tabs: Any
    news: News
    keeper: Keeper


Handler = TypeVar("Handler", bound=Callable[..., Any])


def in_turn(name: str) -> Callable[[Handler], Handler]:
    """Events of the handlers of this name are answered in the order in which a page sends them."""

    def mark(handler: Handler) -> Handler:
        vars(handler)["turn"] = name
        return handler

    return mark
