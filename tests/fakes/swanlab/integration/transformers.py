"""The callback for the Trainer."""

from typing import Any

from transformers import TrainerCallback

import swanlab


class SwanLabCallback(TrainerCallback):
    """Records each log."""

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        swanlab.record("log", step=state.global_step, loss=(logs or {}).get("loss"))
