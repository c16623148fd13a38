"""The callback for the Trainer."""

from typing import Any

from transformers import TrainerCallback

import swanlab


class SwanLabCallback(TrainerCallback):
    """Records each log."""

    def on_log(self, args: Any, state: Any, control: Any, **logged: Any) -> None:
        swanlab.record("log", step=state.global_step, loss=(logged.get("logs") or {}).get("loss"))
