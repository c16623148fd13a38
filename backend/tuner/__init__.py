"""Fine-tune from Python: `from backend.tuner import Tuner`. Importing it loads no torch."""

from backend.tuner.results import Evaluation, TrainResult
from backend.tuner.tuner import Tuner

__all__ = ["Evaluation", "TrainResult", "Tuner"]
