"""SwanLab, through the package's own callback for the Trainer."""

import os
from pathlib import Path
from typing import Any

from backend.contract.arguments.fields import FIELDS
from backend.contract.arguments.typed import Arguments
from backend.contract.models.model_folder import local
from backend.contract.texts.problems import Problem, TuneboardError

MODES = {"cloud": "online", "local": "local"}  # the package's words since 0.8


def callbacks(values: Arguments, folder: Path) -> list[Any]:
    """The SwanLab callback of a run in `folder`, or none where it was not asked for.

    The run is opened at once, so that a refused key is said before the training and not in it.
    Only the first process of a group reports. Raises TuneboardError "swanlab_failed".
    """
    if not values.use_swanlab or os.environ.get("RANK", "0") != "0":
        return []
    import swanlab
    from swanlab.integration.transformers import SwanLabCallback

    callback = SwanLabCallback()
    try:
        _notify_lark(swanlab)
        swanlab.init(
            callbacks=[callback],
            project=values.swanlab_project,
            workspace=values.swanlab_workspace,
            experiment_name=values.swanlab_run_name or folder.name,
            mode=MODES[values.swanlab_mode],
            log_dir=str(local(values.swanlab_logdir or str(folder / "swanlog"))),
        )
    except (OSError, RuntimeError, ValueError, swanlab.exceptions.AuthenticationError) as error:
        params = {"reason": " ".join(str(error).split())[:300]}
        raise TuneboardError(
            Problem(code="swanlab_failed", field="use_swanlab", params=params)
        ) from error
    return [callback]


def _notify_lark(swanlab: Any) -> None:
    """A message at the end of the run, where a webhook was given."""
    webhook = os.environ.get(FIELDS["swanlab_lark_webhook_url"].to)
    if webhook:
        from swanlab.plugin.notification import LarkCallback

        secret = os.environ.get(FIELDS["swanlab_lark_secret"].to)
        swanlab.merge_callbacks([LarkCallback(webhook, secret)])
