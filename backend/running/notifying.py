"""Tell people elsewhere how a run does: by e-mail, ntfy, a chat or whatever apprise can reach.

`python -m backend.running.notifying FOLDER` follows a run until it has ended, and sends a message
when trouble comes up and when the run ends. The addresses are in the environment (NOTIFY_URLS), as
they hold passwords. The supervisor starts this process beside the run's, which has nothing to wait
for it: a service that does not answer costs the run nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from backend.contract.arguments.fields import FIELDS
from backend.contract.folders.home import home, relative
from backend.contract.runs import metrics, run_view, troubles
from backend.contract.runs.metrics import Metrics
from backend.contract.runs.run_files import METRICS, NOTIFIED
from backend.contract.runs.run_view import RunView
from backend.contract.runs.states import State
from backend.contract.system.files import dump, read_json, write_atomic
from backend.contract.texts.locales import t
from backend.contract.texts.problems import Problem

if TYPE_CHECKING:
    from apprise import Apprise

FIELD = "notify_urls"
URLS = FIELDS[FIELD].to  # the environment variable
POLL_SECONDS = 2.0
PAUSES = (0.0, 5.0, 30.0)  # seconds before each try to send a message


def start(folder: Path) -> None:
    """Start to follow a run, where addresses are given. It outlives the run and its supervisor."""
    if not os.environ.get(URLS, "").strip():
        return
    try:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "backend.running.notifying", str(folder)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        sys.stderr.write(f"no messages are sent about this run: {error}\n")


def without_addresses(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for the run itself, which needs no addresses.

    So the runs that a recipe starts send nothing of their own either.
    """
    return {name: value for name, value in environ.items() if name != URLS}


def main() -> int:
    """Follow the run in the folder of argv until its end."""
    folder = Path(sys.argv[1])
    os.chdir(home())
    services, problems = read_addresses(os.environ.get(URLS, ""))
    _note(folder, problems)
    codes: set[str] = set()
    rows: list[Metrics] = []
    evaluated: list[Metrics] = []
    offset = 0
    while True:
        new, offset = metrics.read(folder / METRICS, offset)
        rows += new
        evaluated += (row for row in new if row.eval_loss is not None)
        view = run_view.read(folder)
        if view.ended:
            break
        for notice in troubles.notices(view, rows, evaluated):
            if notice.code not in codes:
                codes.add(notice.code)
                problems = _send(services, "notify.trouble", view, [notice.text()], "warning")
                _note(folder, problems)
        time.sleep(POLL_SECONDS)
    kind = "success" if view.state is State.SUCCEEDED else "failure"
    _note(folder, _send(services, "notify.ended", view, describe_end(view, rows), kind))
    return 0


def read_addresses(text: str) -> "tuple[Apprise, list[Problem]]":
    """The services that the addresses mean, and a notice for each that apprise does not know."""
    import apprise

    services = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Tuneboard"))
    unknown = [url for url in text.split() if not services.add(url)]
    problems = [_problem("notify_url_unknown", scheme=url.partition(":")[0]) for url in unknown]
    return services, problems


def describe_end(view: RunView, rows: list[Metrics]) -> list[str]:
    """How a run ended, line by line: why, how far it came, its losses, its time and its folder."""
    reasons = [problem.text() for problem in (view.reason, *view.more) if problem]
    position = " · ".join(run_view.describe_position(view, rows, "en"))
    losses = [row.loss for row in rows if row.loss is not None]
    evaluated = [row.eval_loss for row in rows if row.eval_loss is not None]
    took = "" if view.elapsed is None else run_view.duration(view.elapsed)
    return [
        *reasons,
        *([position] if position else []),
        *([t("notify.loss", first=_format(losses[0]), last=_format(losses[-1]))] if losses else []),
        *([t("notify.evaluation", best=_format(min(evaluated)))] if evaluated else []),
        *([t("notify.took", time=took)] if took else []),
        t("notify.folder", path=relative(view.path)),
    ]


def _send(
    services: "Apprise", key: str, view: RunView, lines: Iterable[str], kind: str
) -> list[Problem]:
    """Send a message to every service, and again to those that did not take it. Returns a notice
    for each that never did."""
    import apprise

    title = t(key, name=view.name, state=t(f"state.{view.state.value}"))
    body = "\n".join(lines)
    left = list(services)
    for pause in PAUSES:
        time.sleep(pause if left else 0.0)
        left = [
            each
            for each in left
            if not each.notify(body=body, title=title, notify_type=apprise.NotifyType(kind))
        ]
    return [_problem("notify_failed", address=each.url(privacy=True)) for each in left]


def _problem(code: str, **params: str) -> Problem:
    return Problem(code=code, field=FIELD, params=params, notice=True)


def _note(folder: Path, problems: list[Problem]) -> None:
    """Keep what could not be sent, for the panel of the run."""
    if problems:
        before = read_json(folder / NOTIFIED).get("notices")
        rows = [
            *(before if isinstance(before, list) else []),
            *(each.to_json() for each in problems),
        ]
        write_atomic(folder / NOTIFIED, dump({"notices": rows}))


def _format(loss: float) -> str:
    return f"{loss:.4f}"


if __name__ == "__main__":
    sys.exit(main())
