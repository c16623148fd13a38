"""The course of a training as the page shows it before the start: lines, notices, a suggestion."""

from typing import Any

from app.i18n import t
from app.services.runs.fixes import describe_change
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Values
from backend.contract.registry.dataset_info import names
from backend.contract.runs.forecast import Forecast, describe
from backend.contract.texts.numbers import format_number

NOTHING: dict[str, Any] = {
    "lines": [],
    "notices": [],
    "suggestion": "",
    "put": {},
    "measurable": False,
}


def describe_course(course: Forecast, values: Values, lang: str) -> dict[str, Any]:
    """The forecast in words; `put` are the values that the suggestion would change."""
    now = {str(name): value for name, value in values.items()}
    changes = [
        describe_change(name, now[name], value, lang) for name, value in course.suggested.items()
    ]
    suggestion = ""
    if changes:
        rows = format_number(course.rows)
        suggestion = t("forecast.suggested", lang, rows=rows, values=" · ".join(changes))
    adapters = ", ".join(names(resolve(values).adapter_name_or_path))
    return {
        "lines": describe(course, lang),
        "notices": [
            *([t("course.adapter", lang, name=adapters)] if adapters else []),
            *(notice.text(lang) for notice in course.notices),
        ],
        "suggestion": suggestion,
        "put": dict(course.suggested),
        "measurable": course.is_measurable,
    }
