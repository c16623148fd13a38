"""Rows of the argument table to widgets, their values back, `when` to show and hide."""

from collections.abc import Iterable, Sequence
from typing import Any

import gradio as gr

from app.i18n import DEFAULT_LANGUAGE, Texts, choices, has, named, say, t
from app.services.data.extra import BOX, merged, written
from backend.contract.arguments.arguments import active, changed, defaults
from backend.contract.arguments.field import Field, Value, Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.base.problems import Problem
from backend.contract.runs import run_names

OPTIONAL_BOOL = ("none", "true", "false")
# Widgets that offer choices and take anything else, too; the tabs keep the choices fresh.
SUGGESTING = {"dataset", "adapter", "template", "model", "reward_model"}
Shown = dict[str, tuple[bool, str]]


class Form:
    """The widgets of one subcommand; those of the model bar are shared between forms.

    `shown` remembers, for one visitor, what each widget shows (visible, problem), so that an event
    only sends what has changed.
    """

    def __init__(self, task: str, texts: Texts, prefix: str = "", marked: bool = True) -> None:
        self.task = task
        self.texts = texts
        self.prefix = prefix
        self.marked = marked
        self.widgets: dict[str, Any] = {}
        self.groups: dict[str, Any] = {}
        self.borrowed: set[str] = set()

    def add(self, *names: str, start: Values | None = None) -> None:
        """Draw the widgets of these rows here, at their defaults or at `start`."""
        for name in names:
            value = (start or {}).get(name, FIELDS[name].default_in(self.task))
            keys = _texts(FIELDS[name])
            if self.marked:  # `marks` says the help again, or the problem in its place
                del keys["info"]
            self.widgets[name] = self.texts.add(
                _widget(FIELDS[name], value, self.prefix, self.task), **keys
            )

    def add_extra(self) -> None:
        """Draw the box for further arguments, which go over all others of the form."""
        keys = {"label": "extra.label", "placeholder": "extra.placeholder"}
        if not self.marked:
            keys["info"] = "extra.help"
        given = {"info": t("extra.help")} if self.marked else {}
        self.widgets[BOX] = self.texts.make(
            gr.Textbox, keys, lines=2, max_lines=8, elem_id=self.prefix + BOX, **given
        )

    def share(self, other: "Form") -> None:
        """Take over the widgets of another form (the model bar) that this subcommand knows too.

        The form of the same subcommand also marks them; the others leave them alone.
        """
        for name, widget in other.widgets.items():
            if self.task in FIELDS[name].tasks:
                self.widgets[name] = widget
                if self.task != other.task:
                    self.borrowed.add(name)

    def group(self, title: str, names: Sequence[str], key: str = "") -> None:
        """A closed group of further fields; it hides where none of them applies."""
        key = key or f"group.{title}"
        with self.texts.add(
            gr.Accordion(
                open=False,
                visible=any(FIELDS[name].active(defaults(self.task), self.task) for name in names),
                elem_id=f"{self.prefix}group-{title}",
                **say({"label": key}),
            ),
            label=key,
        ) as box:
            for row in _rows(list(names)):
                with gr.Row(elem_classes="fields"):
                    self.add(*row)
        self.groups[title] = (box, tuple(names))

    @property
    def components(self) -> list[Any]:
        """All widgets, the inputs of every event."""
        return list(self.widgets.values())

    @property
    def outputs(self) -> list[Any]:
        """All widgets and groups, in the order of `marks`."""
        return self.components + [box for box, _ in self.groups.values()]

    def values(
        self, given: Sequence[Any], under: Values | None = None
    ) -> tuple[Values, list[Problem]]:
        """Checked values of all rows from what the widgets hold, and every problem.

        A hidden widget's value counts as the default; a wrong one is a problem all the same. Rows
        without a widget are as `under` says, else at their defaults.
        """
        held = {name: _plain(value) for name, value in zip(self.widgets, given, strict=True)}
        raw = {**(under or {}), **held}
        values, problems = merged(raw, str(raw.pop(BOX, None) or ""), self.task)
        values, notices = run_names.resolve(values)
        return values, problems + notices

    def marks(
        self, values: Values, problems: Sequence[Problem], shown: Shown, lang: str
    ) -> tuple[list[Any], Shown]:
        """Updates of all widgets and groups: shown or hidden, and its problem beside each field.

        What is wrong is shown where it does not apply, too: a person cannot mend what is hidden.
        """
        wrong = {p.field: ("!" if not p.notice else "") + p.text(lang) for p in reversed(problems)}
        applying = {row.name for row in active(values, self.task)} | {BOX}
        applying |= {problem.field for problem in problems if not problem.notice}
        now: Shown = {name: (name in applying, wrong.get(name, "")) for name in self.widgets}
        before = shown or self.drawn()
        anew = before[""] != (True, lang)
        updates = [
            gr.skip() if name in self.borrowed else _mark(name, before[name], state, (lang, anew))
            for name, state in now.items()
        ]
        for title, (_, names) in self.groups.items():
            key, state = f"group-{title}", (any(name in applying for name in names), "")
            updates.append(gr.skip() if before[key] == state else gr.update(visible=state[0]))
            now[key] = state
        return updates, {**now, "": (True, lang)}

    def drawn(self) -> Shown:
        """What the widgets show before the first event."""
        applying = {row.name for row in active({}, self.task)} | {BOX}
        found = {name: (name in applying, "") for name in self.widgets}
        for title, (_, names) in self.groups.items():
            found[f"group-{title}"] = (any(name in applying for name in names), "")
        return {**found, "": (True, DEFAULT_LANGUAGE)}

    def show(self, values: Values) -> list[Any]:
        """Updates that put these values into the widgets that there are; the box is emptied."""
        return [
            gr.update(value="" if name == BOX else _display(FIELDS[name], values[name]))
            for name in self.widgets
        ]

    def fill(self, values: Values) -> list[Any]:
        """Updates that put these values (the rest at their defaults) into the widgets.

        What has no widget goes into the box for further arguments.
        """
        whole = {**defaults(self.task), **values}
        rest = {n: v for n, v in changed(whole, self.task).items() if n not in self.widgets}
        box = written({name: rest[name] for name in rest if name != "output_dir"})
        return [
            gr.update(value=box if name == BOX else _display(FIELDS[name], whole[name]))
            for name in self.widgets
        ]

    def reset(self, names: Iterable[str]) -> list[Any]:
        """Updates that put the widgets of these arguments back to their defaults."""
        anew = {name: _display(FIELDS[name], FIELDS[name].default) for name in names}
        return [gr.update(value=anew[n]) if n in anew else gr.skip() for n in self.widgets]


def _mark(
    name: str, before: tuple[bool, str], now: tuple[bool, str], language: tuple[str, bool]
) -> dict[str, Any]:
    """What has changed of a widget; each `visible` makes the browser lay out the whole page."""
    (visible, problem), (lang, anew) = now, language
    changes: dict[str, Any] = {} if before[0] == visible else {"visible": visible}
    if anew or before[1] != problem:
        info, classes = t("extra.help" if name == BOX else f"field.{name}.help", lang), []
        if problem.startswith("!"):
            info, classes = "⚠ " + problem[1:], ["wrong"]
        elif problem:
            info = "ⓘ " + problem
        changes |= {"info": info, "elem_classes": classes}
    return {"__type__": "update", **changes}


def _texts(row: Field) -> dict[str, Any]:
    keys: dict[str, Any] = {"label": f"field.{row.name}.label", "info": f"field.{row.name}.help"}
    options = _options(row)
    if options and row.widget not in {"template"}:
        keys["choices"] = choices(row.name, options)
    return keys


def _options(row: Field) -> tuple[str, ...]:
    if row.kind == "bool" and row.optional:
        return OPTIONAL_BOOL
    if row.kind == "choice":
        return (("none",) if row.optional else ()) + row.choices
    return ()


def _widget(row: Field, value: Value, prefix: str, task: str) -> Any:
    given: dict[str, Any] = {
        "value": _display(row, value),
        "elem_id": prefix + row.name,
        "interactive": True,
        "visible": row.active(defaults(task), task),
        **say({key: text for key, text in _texts(row).items() if key != "choices"}),
    }
    options = _options(row)
    if options:
        pairs = named(choices(row.name, options), "en")
        kind = gr.Radio if row.widget == "radio" else gr.Dropdown
        return kind(choices=pairs, **given)
    if row.kind == "bool":
        return gr.Checkbox(**given)
    if _suggests(row):
        several, names = row.kind == "list", list(row.choices)
        return gr.Dropdown(choices=names, multiselect=several, allow_custom_value=True, **given)
    lines = {"lines": 3} if row.widget == "area" else {"max_lines": 1}
    if row.secret:
        lines["type"] = "password"  # type: ignore[assignment]
    return gr.Textbox(**lines, **given)


def _suggests(row: Field) -> bool:
    """Whether a widget offers names, of which one of a person's own may be another."""
    return row.widget in SUGGESTING or (row.kind == "list" and bool(row.choices))


def _display(row: Field, value: Value) -> Any:
    """A value as its widget holds it; numbers as text, so that nothing is rounded."""
    if _suggests(row):
        return value if row.kind != "list" else str(value).split(",") if value else []
    if row.kind == "bool" and not row.optional:
        return value
    if value is None:
        return "none" if _options(row) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _plain(value: Any) -> object:
    """A widget's value as the rows parse it; an empty box is "not set"."""
    if isinstance(value, list):
        return ",".join(str(part) for part in value) or None
    return None if value == "" else value


def _rows(names: list[str], width: int = 3) -> list[list[str]]:
    return [names[start : start + width] for start in range(0, len(names), width)]


def problem_lines(problems: Sequence[Problem], lang: str) -> str:
    """Problems as lines, each with the label of its field."""
    return "\n".join(
        f"{title_of(p.field, lang)}: {p.text(lang)}" if p.field in FIELDS else p.text(lang)
        for p in problems
    )


def title_of(field: str, lang: str) -> str:
    """The label of an argument, or its bare name."""
    key = f"field.{field}.label"
    return t(key, lang) if has(key) else field
