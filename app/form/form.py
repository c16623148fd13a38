"""The form of one subcommand on a tab: one component whose value is what every field holds.

The browser draws it (app/browser/form.js) from the data of app/form/schema.py, shows and hides
fields by their `when`, and asks `judge` for problems and the command.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from app.form.component import answer, make_component
from app.form.extra_arguments import BOX, merge, to_text
from app.form.offers import groups
from app.form.schema import OwnField, Section, schema, start_values
from app.form.values import check, display, plain
from backend.contract.advice import small_sets
from backend.contract.arguments.arguments import defaults, drop_defaults
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.runs import run_names
from backend.contract.texts.problems import Problem

TEMPLATE = '<div class="form-first"></div>{}<div class="form-rest"></div>'
UNPREFIXED = {"bar", "train"}
SUGGESTED = {"export": ("export_dir",)}  # fields whose suggested value follows from others
FOLLOWING = {"train": small_sets.FOLLOWING}  # those whose value follows from the number of rows
IN_ADDRESS = {"train": ["stage"]}  # fields whose values stand in the address of the page
# Empty fields that get the one option that an offer of this kind has, when the page is opened.
PRESELECTED = {"bar": {"model_name_or_path": "only_model"}}

Raw = dict[str, Any]
Judge = Callable[[Raw, str, Collection[str]], dict[str, Any]]
Schemas = dict[str, Callable[[str], dict[str, Any]]]


class Form:
    """The fields of one subcommand; those of the model bar are shared between forms.

    key    its name: what its texts are asked for by, its values are kept under, and the element
           ids of its fields begin with, but for those of the model bar and of Train
    start  first values where they are not the defaults
    """

    def __init__(
        self,
        task: str,
        key: str,
        sections: Sequence[Section],
        *,
        own: Sequence[OwnField] = (),
        start: Mapping[str, Any] | None = None,
        bar: "Form | None" = None,
    ) -> None:
        self.task = task
        self.key = key
        self.sections = sections
        self.prefix = "" if key in UNPREFIXED else f"{key}-"
        self.own = {field.name: field for field in own}
        self.bar = bar
        self.following = FOLLOWING.get(key, ())
        self.start = start_values(task, sections, self.own, start or {})
        self.judge: Judge | None = None
        self.box: Any = None

    def draw(self, schemas: Schemas, *, inside: bool = False) -> Any:
        """Draw it here; returns the component, which takes further ones between the sections of
        slot "first" and the others if `inside`."""
        schemas[self.key] = self.schema

        def judge(asked: Any) -> dict[str, Any]:
            return answer(self._answer_judgement, asked)

        def offers(asked: Any) -> dict[str, Any]:
            return answer(_offer, asked)

        self.box = make_component(
            "form",
            TEMPLATE.format("@children" if inside else ""),
            functions=[judge, offers],
            elem_id=f"{self.key}-form",
            elem_classes="tuneboard-form",
            form=self.key,  # `choices`: options of fields that only an event knows
            schema=f"own/form/{self.key}",
            prefix=self.prefix,
            bar=self.bar.key if self.bar else "",
            address=IN_ADDRESS.get(self.key, []),
            following=[*self.following],
            preselected=PRESELECTED.get(self.key, {}),
        )
        return self.box

    def schema(self, lang: str) -> dict[str, Any]:
        """What is drawn, as data for the browser."""
        return schema(self.task, self.sections, self.own, self.start, lang)

    @property
    def inputs(self) -> list[Any]:
        """What an event needs to know all values: the box of the bar, where there is one, and its
        own."""
        return [self.bar.box, self.box] if self.bar else [self.box]

    @property
    def drawn(self) -> set[str]:
        """The names of all fields that it draws itself."""
        return set(self.start)

    def read_box(self, value: Any) -> Raw:
        """What its own fields hold, from the value of its box, which is None before the browser has
        drawn it."""
        return {**self.start, **{n: each for n, each in check(value).items() if n in self.start}}

    def raw(self, box_values: Sequence[Any]) -> Raw:
        """What all fields hold, from the values of `inputs`: those of the bar that this subcommand
        knows, and its own."""
        values = self.read_box(box_values[-1])
        if self.bar is None:
            return values
        shared = self.bar.read_box(box_values[0])
        return {n: each for n, each in shared.items() if self.task in FIELDS[n].tasks} | values

    def raw_of(self, asked: Mapping[str, Any]) -> Raw:
        """What all fields hold, from a question of the browser: the defaults where a value followed
        from the number of rows."""
        raw = self.raw([check(asked.get("values"))] * len(self.inputs))
        followed = check(asked.get("followed"))
        names = [name for name in self.following if name in followed]
        anew: Raw = {n: self.start[n] for n in names if raw.get(n) == followed[n]}
        return raw | anew

    def values(
        self, box_values: Sequence[Any], under: Values | None = None
    ) -> tuple[Values, list[Problem]]:
        """Checked values of all arguments from the values of `inputs`, and every problem.

        A hidden field's value counts as the default; a wrong one is a problem all the same.
        Arguments without a field are as `under` says, else at their defaults.
        """
        return self.parse(self.raw(box_values), under)

    def parse(self, raw: Raw, under: Values | None = None) -> tuple[Values, list[Problem]]:
        """Checked values of all arguments from what all fields hold, and every problem."""
        known = {name: value for name, value in raw.items() if name not in self.own}
        arguments = {name: plain(value) for name, value in known.items() if name in FIELDS}
        whole: Raw = {name: value for name, value in (under or {}).items()}
        values, problems = merge({**whole, **arguments}, str(raw.get(BOX) or ""), self.task)
        values, notices = run_names.replace_names(values)
        return values, problems + notices

    def fill(self, values: Values) -> list[Any]:
        """Updates of `inputs` that put these values, and the defaults for all others, into the
        fields. What has no field goes into the field for further arguments."""
        whole = {**defaults(self.task), **values}
        fields = self.drawn | (self.bar.drawn if self.bar else set())
        rest = {n: v for n, v in drop_defaults(whole, self.task).items() if n not in fields}
        text = to_text({name: rest[name] for name in rest if name != "output_dir"})
        own = {n: text if n == BOX else field.default for n, field in self.own.items()}
        updates = [gr.update(value={**self._display(whole), **own})]
        return [gr.update(value=self.bar._display(whole)), *updates] if self.bar else updates

    def show(self, values: Values) -> Any:
        """The update of its own box that puts these values into its fields; those that are no
        arguments hold what they do at first."""
        own = {name: field.default for name, field in self.own.items()}
        return gr.update(value={**self._display(values), **own})

    def reset(self, names: Iterable[str]) -> list[Any]:
        """Updates of `inputs` that put these arguments back to their defaults."""
        anew = {name: display(FIELDS[name], FIELDS[name].default_in(self.task)) for name in names}
        forms = [self.bar, self] if self.bar else [self]
        return [change({name: anew[name] for name in anew if name in form.drawn}) for form in forms]

    def _display(self, values: Values) -> Raw:
        fields = [FIELDS[name] for name in self.start if name in FIELDS]
        return {field.name: display(field, values[field.name]) for field in fields}

    def _answer_judgement(self, asked: Raw, lang: str) -> dict[str, Any]:
        if self.judge is None:
            return {"fields": {}}
        put, own = check(asked.get("put")), asked.get("own")
        raw = self.raw_of(asked)
        suggested = [name for name in SUGGESTED.get(self.key, ()) if name in put]
        anew = {name: "" for name in suggested if raw.get(name) == put[name]}
        names = {str(name) for name in own} if isinstance(own, list) else set()
        return self.judge({**raw, **anew}, lang, names)


def _offer(asked: Raw, lang: str) -> dict[str, Any]:
    return {"groups": groups(str(asked.get("kind", "")), check(asked.get("values")), lang)}


def change(values: Mapping[str, Any]) -> Any:
    """The update of a form's box that changes these fields alone; none where there are none.

    The browser merges it into what the form holds by then, so that nothing is lost of what was
    typed while the answer was on its way.
    """
    return gr.update(value=dict(values)) if values else gr.skip()
