"""Time and steps in words, what is worth knowing, and the values suggested for few rows."""

import pytest

from app.form.form import Form
from app.services.runs import course_view, runs
from app.tabs.run import memory_questions
from backend.contract.arguments.arguments import defaults
from backend.contract.preflight import estimates
from backend.contract.runs.forecast import Forecast, in_words
from backend.contract.texts.problems import ModelError, Problem

NOTICE = Problem(code="steps_few", field="num_train_epochs", params={"steps": 9}, notice=True)
SUGGESTED = {"gradient_accumulation_steps": 2, "learning_rate": 2e-4}


def forecast(**more: object) -> Forecast:
    numbers = {"steps": 96, "rows": 512, "batch": 16, "epochs": 3.0, "tokens": 9600}
    events = {"exact": True, "evaluations": 2, "checkpoints": 1}
    return Forecast(**{**numbers, **events, **more})


def test_a_known_time_comes_first_with_its_source() -> None:
    known = forecast(seconds=710.0, step_seconds=7.4, source="run", run="train_1")
    first = course_view.describe_course(known, defaults("train"), "en")["lines"][0]
    assert first == "Time: about 12 min, 96 steps of 7.4 s on average (measured in run train_1)"
    unknown = course_view.describe_course(forecast(), defaults("train"), "en")["lines"][0]
    assert unknown == "Time: not known yet, the first of 96 steps will tell"


def test_numbers_of_a_sample_are_marked() -> None:
    lines = course_view.describe_course(forecast(exact=False), defaults("train"), "en")["lines"]
    assert "Steps: about 96 (epochs: 3, rows: about 512, rows in each step: 16)" in lines


def test_notices_and_what_is_suggested() -> None:
    course = forecast(notices=(NOTICE,), suggested=SUGGESTED)
    view = course_view.describe_course(course, defaults("train"), "en")
    assert view["notices"][0].startswith("Only 9 steps")
    assert view["put"] == SUGGESTED
    assert "8 → 2" in view["suggestion"]
    assert course_view.describe_course(forecast(), defaults("train"), "en")["suggestion"] == ""


def test_a_training_that_starts_from_an_adapter_says_so() -> None:
    values = {**defaults("train"), "adapter_name_or_path": "one,two"}
    view = course_view.describe_course(forecast(), values, "en")
    assert view["notices"] == ["Starts from the adapter one, two, not from the model alone."]


def test_a_forecast_survives_the_way_from_the_child() -> None:
    course = forecast(notices=(NOTICE,), suggested=SUGGESTED, seconds=1.0, step_seconds=0.1)
    assert Forecast.from_json(course.to_json()) == course


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.42, "7.4 s"), (89, "89 s"), (95, "1.6 min"), (710, "12 min"), (9000, "2.5 h")],
)
def test_times_have_two_digits(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


def test_the_question_of_the_page_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields hold texts, so the suggested values are; where nothing is known, nothing is shown."""
    form = Form("train", "train", [])
    *_, course, _, _ = memory_questions.make_questions(form)
    asked = {"values": {"model_name_or_path": "m", "dataset": "d"}, "lang": "en"}
    monkeypatch.setattr(estimates, "foresee", lambda _: forecast(suggested=SUGGESTED))
    monkeypatch.setattr(Form, "raw", lambda *_: asked["values"])
    answer = course(asked)
    assert answer["ok"]
    assert answer["put"] == {"gradient_accumulation_steps": "2", "learning_rate": "0.0002"}

    def fail(_: object) -> None:
        raise ModelError(Problem(code="estimate_no_answer", params={"reason": "-"}))

    monkeypatch.setattr(estimates, "foresee", fail)
    assert course(asked)["lines"] == []


def test_nothing_is_measured_beside_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be slowed; without one the steps are measured."""
    measured: list[object] = []
    monkeypatch.setattr(estimates, "measure", measured.append)
    monkeypatch.setattr(Form, "raw", lambda *_: {"model_name_or_path": "m", "dataset": "d"})
    *_, measure, _ = memory_questions.make_questions(Form("train", "train", []))
    monkeypatch.setattr(runs, "is_any_going", lambda: True)
    refused = measure({"values": {}, "lang": "en"})
    assert not refused["ok"]
    assert "another run" in refused["errors"]["en"]
    assert measured == []
    monkeypatch.setattr(runs, "is_any_going", lambda: False)
    assert measure({"values": {}, "lang": "en"}) == {"ok": True}
    assert len(measured) == 1


def test_what_a_measurement_would_improve_can_be_measured() -> None:
    sources = ("none", "similar", "measured", "run", "")
    assert [forecast(source=each).is_measurable for each in sources] == [True, True, *[False] * 3]
