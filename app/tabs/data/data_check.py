"""A check of every row of the chosen set: the step "Check" of the Data tab."""

from threading import Event
from typing import Any

from app.form.form import Form
from app.i18n import t
from app.services.data import datasets, set_list
from app.tabs.data.data_work import Task, Work, choose_first
from app.tabs.shared.context import Context
from app.tabs.shared.wiring import QUIET

# In the browser: what a press since then has answered must not go with it.
FORGET = "(_, work) => [work?.state === 'busy' ? work : {state: 'idle'}]"


def build(context: Context, form: Form, dataset: Any, folder: Any) -> None:
    """Draw it and wire it to the chosen set; `form` says how rows are read."""
    work = Work("check", "sets.check")
    work.draw()

    def begin(lang: str, name: str | None, place: str, box_value: Any) -> Task | str:
        if not name:
            return choose_first(lang)
        stop = Event()

        def progress(step: Any) -> tuple[float, str] | None:
            if not isinstance(step, float):
                return None
            return step, t("sets.checking", lang, name=name, share=f"{step:.0%}")

        return Task(
            datasets.check_rows(name, place, str(form.read_box(box_value)["stage"]), stop),
            stop,
            progress,
            lambda report: _tell(report, lang),
        )

    work.wire(begin, [context.lang, dataset, folder, form.box], dataset)
    dataset.change(None, [dataset, work.box], work.box, js=FORGET, **QUIET)


def _tell(report: dict[str, Any], lang: str) -> dict[str, Any]:
    columns = [t(f"sets.found.{name}", lang) for name in set_list.FINDING_COLUMNS]
    table = {"columns": columns, "rows": set_list.findings(report, lang)}
    return {"lines": [set_list.report(report, lang)], "table": table}
