"""What people say of answers in the Chat tab is data that training takes as it is."""

from pathlib import Path
from typing import Any

import pytest

from app.services.chat import feedback
from backend.contract.arguments.arguments import resolve
from backend.data import prepare, templates
from tests.backend.conftest import make_tokenizer
from tests.backend.test_data_prepare import VALUES, Told

ASKED: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief"},
    {"role": "user", "content": "Who are you?"},
]
GOOD = {"role": "assistant", "content": "I am Tuneboard."}
BAD = {"role": "assistant", "content": "No idea."}


@pytest.mark.parametrize("stage", ["sft", "kto", "dpo"])
def test_a_stage_learns_from_it(stage: str, workspace: Path) -> None:
    (workspace / "data" / "dataset_info.json").write_text("{}")
    rows = {
        "sft": [feedback.sft_row([*ASKED, GOOD], [])],
        "kto": [
            feedback.kto_row([*ASKED, GOOD], [], True),
            feedback.kto_row([*ASKED, BAD], [], False),
        ],
        "dpo": [feedback.preference_row(ASKED, [], GOOD, BAD)],
    }
    kind = "preference" if stage == "dpo" else stage
    for row in rows[stage]:
        feedback.save("mine", kind, row)
    tokenizer = make_tokenizer()
    given = {**VALUES, "stage": stage, "dataset": "mine", "dataset_dir": "data"}
    given["per_device_train_batch_size"] = 2
    train = prepare.prepare_training(
        resolve(given), tokenizer, templates.load(resolve(given), tokenizer), Told()
    ).train
    assert len(train) == len(rows[stage])
    name = "chosen_labels" if stage == "dpo" else "labels"
    learned = [label for label in train[0][name] if label >= 0]
    assert tokenizer.decode(learned) == "I am Tuneboard.<|im_end|>"
