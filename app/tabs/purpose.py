"""What is it for? One choice that fills the form of Train, each value with its reason."""

from typing import Any

from app.form.component import Question, answer, make_component
from app.form.form import Form
from app.form.values import check, display, plain
from app.i18n import TextKeys
from app.services.page import advice
from backend.contract.advice.purposes import PURPOSES
from backend.contract.arguments.arguments import parse
from backend.contract.arguments.fields import FIELDS
from backend.contract.texts.problems import errors


def build(form: Form) -> None:
    """Draw the choice above the form that it fills."""

    def advise(asked: Any) -> Question:
        return answer(lambda question, lang: _advise(form, question, lang), asked)

    make_component(
        "purpose",
        '<div class="form-first purpose"></div>',
        functions=[advise],
        elem_id="purpose",
        form=form.key,
        bar=form.bar.key if form.bar else "",
        purposes=[*PURPOSES],
        words=TextKeys(
            {
                **{name: f"purpose.{name}" for name in ("label", "none", "take")},
                "undo": "memory.undo",
                **{f"name_{name}": f"purpose.name.{name}" for name in PURPOSES},
            }
        ),
    )


def _advise(form: Form, question: Question, lang: str) -> Question:
    """The lines of the purpose in the question, and what the fields of the form are to hold."""
    purpose = str(question.get("purpose", ""))
    values, problems = form.parse(form.raw_of(question))
    put = {n: plain(each) for n, each in check(question.get("put")).items() if n in FIELDS}
    earlier = {name: each for name, each in parse(put, "train")[0].items() if name in put}
    wrong = {problem.field for problem in errors(problems) if problem.field in values}
    filling = advice.fill(purpose if purpose in PURPOSES else "", values, earlier, wrong, lang)
    return {
        "put": {name: display(FIELDS[name], each) for name, each in filling.put.items()},
        "lines": [
            {
                "name": line.name,
                "title": line.title,
                "value": display(FIELDS[line.name], line.value),
                "shown": line.shown,
                "reason": line.reason,
                "own": line.own,
            }
            for line in filling.lines
        ],
    }
