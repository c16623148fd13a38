"""Settings of all tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from app.services.models.catalog import STARTER

ROOT = Path(__file__).parents[1]

os.environ["LC_ALL"] = "C.UTF-8"  # of whoever runs them: the command speaks that language

# The files that take longest, from half a minute of a core up, in the order of their times. They
# are the first of a run, so that none of them is left to the end, for one core alone; a file with
# few tests was (xdist orders files by their numbers of tests). Times: pytest --junitxml.
LONGEST = (
    *("backend/test_documented_commands", "backend/test_precision", "backend/test_tutorial"),
    *("backend/test_answer_boundaries", "backend/test_matrix", "backend/test_deepspeed"),
    *("backend/test_resume_changed", "backend/test_gguf", "backend/test_group"),
    *("backend/test_stage_dpo", "backend/test_see_and_hear", "backend/test_invariants"),
    *("backend/test_tracking", "backend/test_optimizers", "backend/test_mcp"),
    *("backend/test_api_clients", "backend/test_train_resume", "backend/test_engines"),
    *("backend/test_mask_rule", "backend/test_starter", "backend/test_methods_adapters"),
    *("backend/test_stage_ppo", "backend/test_compressed", "backend/test_hub"),
    *("backend/test_stage_grpo", "backend/test_stage_rloo", "backend/test_reference_logps"),
    *("e2e/test_page", "e2e/test_clipped", "e2e/test_memory", "e2e/test_run_life"),
    *("e2e/test_data_tab", "e2e/test_refused_start", "e2e/test_chat_tab", "e2e/test_run_panel"),
    *("e2e/test_proxy", "e2e/test_requests", "failures/test_page_dies", "e2e/test_tabs"),
    *("e2e/form/test_form_component", "e2e/test_small_sets", "e2e/test_newcomer"),
    *("e2e/test_new_words", "e2e/test_second_try", "e2e/test_hub", "e2e/form/test_form_values"),
    *("e2e/test_recipes_tab", "e2e/test_trl_stages", "e2e/test_run_picks", "e2e/test_long_list"),
    *("e2e/test_purpose", "failures/test_recipe_faults", "failures/test_page_start"),
    *("e2e/test_mistakes", "failures/test_page_stops", "failures/test_stop"),
)

# The same examples on every run of the landing script; new ones on every run by hand.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; within a file they keep their order."""
    order = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter model's folder in the checkout, fetched when it is not there yet."""
    folder = ROOT / "saves" / "models" / STARTER
    if not (folder / "model.safetensors").is_file():
        done = subprocess.run(
            [sys.executable, "-m", "backend", "starter"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    return folder
