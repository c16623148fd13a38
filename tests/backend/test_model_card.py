"""Model cards, read back with the Hub's own package."""

import json
from pathlib import Path

from huggingface_hub import ModelCard

from backend.contract.runs import metrics, run_folder
from backend.contract.runs.metrics import Metrics
from backend.export import model_card

LICENSED = """---
license: other
license_name: tiny-community
license_link: https://example.org/terms
base_model: someone/tiny
---
"""
STEPS = 12


def make_run(home: Path, base: Path) -> Path:
    """A finished training "mine" with a curve, and an evaluation of it."""
    (home / "data" / "dataset_info.json").write_text(
        json.dumps({"sums": {"file_name": "s.json"}, "talks": {"hf_hub_url": "org/talks"}})
    )
    run = home / "saves" / "mine"
    run.mkdir()
    arguments = {
        "model_name_or_path": str(base),
        "dataset": "sums,talks",
        "max_steps": STEPS,
        "val_size": 0.2,
    }
    results = {"eval_loss": 0.5, "eval_runtime": 3.0, "steps": STEPS}
    write_run(run, "train", arguments, results)
    (run / "training_loss.png").write_bytes(b"a picture")
    for step in range(1, STEPS + 1):
        metrics.append(run / run_folder.METRICS, Metrics(step=step, loss=1 / step))
        if step % 4 == 0:
            metrics.append(run / run_folder.METRICS, Metrics(step=step, eval_loss=2 / step))
    judged = home / "saves" / "tiny" / "lora" / "judged"
    judged.mkdir(parents=True)
    arguments = {
        "model_name_or_path": str(base),
        "adapter_name_or_path": "saves/mine",
        "eval_dataset": "talks",
    }
    write_run(judged, "eval", arguments, {"eval_loss": 0.25, "predict_bleu-4": 3.5})
    values = run_folder.read(run).arguments
    model_card.write_run_card(run, values, results, model_card.Base("tiny", base))
    return run


def write_run(
    folder: Path, kind: str, arguments: dict[str, object], results: dict[str, float]
) -> None:
    row = {"kind": kind, "arguments": arguments}
    (folder / run_folder.RUN).write_text(json.dumps(row))
    (folder / run_folder.EXIT).write_text('{"code": 0}')
    (folder / run_folder.RESULTS).write_text(json.dumps(results))


def test_cards_tell_of_data_arguments_losses_scores_and_license(
    workspace: Path, tmp_path: Path
) -> None:
    """Of a run, and of what is exported from it."""
    base = tmp_path / "tiny-base"
    base.mkdir()
    (base / "README.md").write_text(LICENSED)
    run = make_run(workspace, base)
    out = tmp_path / "out"
    out.mkdir()
    named = model_card.Base("tiny", base)
    model_card.write_export_card(out, "out", named, [base, run], "It runs so.", "gguf")
    cards = [ModelCard.load(folder / "README.md") for folder in (run, out)]
    for card in cards:
        assert card.data.license == "other"
        assert card.data.license_name == "tiny-community"
        assert card.data.license_link == "https://example.org/terms"
        assert card.data.base_model == "tiny"
        assert card.data.datasets == ["org/talks"]
        first = card.data.eval_results[0]
        assert (first.dataset_name, first.metric_type) == ("20% of the data, held out", "loss")
        assert first.metric_value == 0.5
        assert "[tiny](https://huggingface.co/someone/tiny), license: tiny-community" in card.text
        assert "[talks](https://huggingface.co/datasets/org/talks)" in card.text
        assert "max_steps: 12\n" in card.text
        assert str(tmp_path) not in card.text
        losses = card.text.split("| step | training loss | evaluation loss |")[1].split("\n\n")[0]
        assert losses.count("\n") == 1 + model_card.POINTS
        assert losses.endswith("| 12 | 0.0833 | 0.1667 |")
    assert [card.data.library_name for card in cards] == ["peft", "gguf"]
    assert "![Loss by step](training_loss.png)" in cards[0].text
    assert "| talks | predict_bleu-4 | 3.5 |" in cards[1].text
    scores = {(each.dataset_name, each.metric_type) for each in cards[1].data.eval_results}
    assert scores == {("20% of the data, held out", "loss"), ("talks", "loss"), ("talks", "bleu-4")}


def test_a_base_without_a_card_is_said_to_have_no_license_here(
    workspace: Path, tmp_path: Path
) -> None:
    base = tmp_path / "tiny-base"
    base.mkdir()
    model_card.write_export_card(
        tmp_path, "out", model_card.Base("tiny", base), [base], "It runs so.", "transformers"
    )
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license is None
    assert "license: not recorded here" in card.text


def test_a_broken_card_of_the_base_stops_nothing(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert model_card.Base("tiny", tmp_path).license == {}
