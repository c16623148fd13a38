"""What the box with Start asks about the memory and the time of a training that is set up."""

from collections.abc import Callable
from typing import Any

from app.form.component import answer
from app.form.extra_arguments import BOX, leave_out
from app.form.form import Form, Raw
from app.form.values import check, display
from app.services.runs import course_view, memory_view, runs
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Values
from backend.contract.arguments.fields import FIELDS
from backend.contract.preflight import estimates
from backend.contract.texts.problems import ModelError, Problem, TuneboardError, UsageError, errors


def make_questions(form: Form) -> list[Callable[[Any], dict[str, Any]]]:
    """The functions of a component that say what a training of this form needs, with which
    settings it fits, how long it takes, and how long some steps of it really take; the last one
    ends that measurement."""

    def memory(asked: Any) -> dict[str, Any]:
        return answer(lambda question, lang: _describe(form, question, lang), asked)

    def fit(asked: Any) -> dict[str, Any]:
        return answer(lambda question, lang: _find_fit(form, question, lang), asked)

    def course(asked: Any) -> dict[str, Any]:
        return answer(lambda question, lang: _foresee(form, question, lang), asked)

    def measure(asked: Any) -> dict[str, Any]:
        return answer(lambda question, _: _measure(form, question), asked)

    def cancel(asked: Any) -> dict[str, Any]:
        return answer(lambda *_: _cancel(), asked)

    return [memory, fit, course, measure, cancel]


def _describe(form: Form, question: Raw, lang: str) -> dict[str, Any]:
    values, problems = _parse(form, question)
    if errors(problems) or not resolve(values).model_name_or_path:
        return memory_view.NOTHING
    try:
        return memory_view.describe(estimates.estimate(values), lang)
    except TuneboardError as error:
        return memory_view.explain(error, lang)


def _foresee(form: Form, question: Raw, lang: str) -> dict[str, Any]:
    """Steps, time and notices; nothing where they are not known, of which the memory says why."""
    values, problems = _parse(form, question)
    if errors(problems) or not resolve(values).model_name_or_path:
        return course_view.NOTHING
    try:
        forecast = estimates.foresee(values)
    except TuneboardError:
        return course_view.NOTHING
    if forecast is None:
        return course_view.NOTHING
    view = course_view.describe_course(forecast, values, lang)
    put = {name: display(FIELDS[name], value) for name, value in view["put"].items()}
    return {**view, "put": put}


def _measure(form: Form, question: Raw) -> dict[str, Any]:
    """Measure some steps; the course is then known better. Raises TuneboardError, so where a run
    goes on, which would slow them."""
    if runs.is_any_going():
        raise ModelError(Problem(code="measure_run_active"))
    values, problems = _parse(form, question)
    if errors(problems):
        raise UsageError(*errors(problems))
    estimates.measure(values)
    return {}


def _cancel() -> dict[str, Any]:
    estimates.stop_measuring()
    return {}


def _find_fit(form: Form, question: Raw, lang: str) -> dict[str, Any]:
    """The changes in words, and as what the fields hold then. The box of further arguments, which
    goes over the fields, loses those that are changed."""
    values, _ = _parse(form, question)
    fit = estimates.fit(values)
    put = {name: display(FIELDS[name], value) for name, value in fit["changes"].items()}
    text = str(check(question.get("values")).get(BOX) or "")
    rest = leave_out(text, put)
    if rest != text:
        put[BOX] = rest
    return {**memory_view.describe_fit(fit, values, lang), "put": put}


def _parse(form: Form, question: Raw) -> tuple[Values, list[Problem]]:
    return form.parse(form.raw([check(question.get("values"))] * len(form.inputs)))
