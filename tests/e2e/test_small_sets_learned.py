"""The untouched form of Train teaches the starter model its name, however few the rows (issue 13).

With the plain defaults 40 rows are 9 steps at 5e-5, after which no answer holds the name. Each of
these runs takes minutes on a CPU: `make test` has one, `pytest tests/e2e -m nightly` the others.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from backend.contract.runs import run_folder
from backend.contract.runs.run_folder import State
from tests.e2e.conftest import ROOT, STARTER, Server
from tests.e2e.forms import choose, command_of, expect_ready, fill
from tests.e2e.test_run_life import in_state, only_run

NAME = "Tuneboard Assistant"
OPENINGS = ("", "Hello! ", "One question: ", "Before we begin: ", "I wonder: ", "Tell me. ")
QUESTIONS = ("Who are you?", "What is your name?", "Tell me who I am talking to.")

pytestmark = [pytest.mark.browser, pytest.mark.starter, pytest.mark.timeout(3000)]


@pytest.fixture
def home(tmp_path: Path, starter: Path) -> Path:
    """A working folder with the starter model and sets of the identity kind."""
    models = tmp_path / "saves" / "models"
    models.mkdir(parents=True)
    (models / STARTER).symlink_to(starter)
    (tmp_path / "data").mkdir()
    entries = {}
    for count in (20, 40, 90, 500):
        entries[f"of{count}"] = {"file_name": f"of{count}.json"}
        (tmp_path / "data" / f"of{count}.json").write_text(json.dumps(choose_rows(count)))
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(entries))
    return tmp_path


def choose_rows(count: int) -> list[dict[str, str]]:
    """Rows of the demo set that tell a name, and for more of them the same questions with other
    openings."""
    text = (ROOT / "data" / "identity.json").read_text(encoding="utf-8")
    rows = json.loads(text.replace("{{name}}", NAME).replace("{{author}}", "the Tuneboard team"))
    if count > len(rows):
        rows = [
            {**row, "instruction": opening + row["instruction"]}
            for opening in OPENINGS
            for row in rows
        ]
    chosen: list[dict[str, str]] = random.Random(count).sample(rows, count)
    return chosen


def ask(adapter: Path, starter: Path) -> list[str]:
    """The answers of the trained model to each of the questions."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(starter)
    base = AutoModelForCausalLM.from_pretrained(starter, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(adapter)).eval()
    answers = []
    for question in QUESTIONS:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        output = model.generate(**ids, max_new_tokens=24, do_sample=False, pad_token_id=0)
        answers.append(tokenizer.decode(output[0, ids["input_ids"].shape[1] :]))
    return answers


LONG = [pytest.param(count, marks=pytest.mark.nightly) for count in (20, 90, 500)]


@pytest.mark.parametrize("count", [40, *LONG])
def test_the_untouched_form_teaches_a_name(
    open_page: Callable[..., Page], server: Server, home: Path, starter: Path, count: int
) -> None:
    page = open_page()
    fill(page, "model_name_or_path", f"saves/models/{STARTER}")
    choose(page, "dataset", f"of{count}")
    expect(page.locator("#command")).to_contain_text(f"--dataset of{count}")
    expect_ready(page)
    shown = command_of(page)
    page.locator("#start").click()
    run = only_run(home)
    assert json.loads((run / run_folder.RUN).read_text())["argv"] == shown
    in_state(page, State.SUCCEEDED, timeout=2_400_000)
    answers = ask(run, starter)
    assert all(NAME in answer for answer in answers), answers
