"""New tokens begin sensibly, are learned, and come along: to chat, to the next stage, to export."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.contract.arguments.arguments import defaults, resolve
from backend.contract.texts.problems import UsageError
from backend.export import export
from backend.model import load, vocabulary
from tests.backend.conftest import write_dataset
from tests.backend.training import small, train_small

ROWS = [
    {"instruction": f"call {number}", "input": "", "output": f"<tool> plumbus {number}"}
    for number in range(12)
]
NEW = {"add_tokens": "plumbus", "add_special_tokens": "<tool>,</tool>"}


@pytest.fixture(params=["tied", "untied"])
def model_dir(request: Any, tiny_model_dir: Path, workspace: Path) -> Path:
    """The tiny model, and one whose output layer has weights of its own."""
    write_dataset(workspace, "sums", ROWS)
    if request.param == "tied":
        return tiny_model_dir
    folder = workspace / "untied"
    shutil.copytree(tiny_model_dir, folder)
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.nn.init.normal_(model.lm_head.weight, std=0.02)
    model.save_pretrained(folder)
    return folder


def answer_logits(model: Any, tokenizer: Any) -> torch.Tensor:
    ids = tokenizer("<tool> plumbus 3 </tool>", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        result: torch.Tensor = model.eval()(input_ids=ids).logits
    return result


@pytest.fixture
def last_logits(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The logits of the trained model in memory, at the end of each run."""
    seen: list[torch.Tensor] = []

    def look(trainer: Any) -> dict[str, float]:
        seen.append(answer_logits(trainer.model, trainer.processing_class))
        return {}

    monkeypatch.setattr("backend.train.final_metrics", look)
    return seen


def chat(folder: Path, **options: Any) -> tuple[Any, Any]:
    values = resolve({**defaults("chat"), "model_name_or_path": str(folder), **options})
    return load.model(values, training=False), load.tokenizer(values)


def test_a_new_token_begins_as_the_mean_of_its_pieces(model_dir: Path) -> None:
    values = small(model_dir, finetuning_type="full", **NEW)
    old, tokenizer = AutoTokenizer.from_pretrained(model_dir), load.tokenizer(values)
    before = AutoModelForCausalLM.from_pretrained(model_dir)
    model = load.model(values, training=True, vocabulary=len(tokenizer))
    rows = len(old)
    assert len(tokenizer) == rows + 3
    assert len(model.get_input_embeddings().weight) == -(-len(tokenizer) // 64) * 64
    for token in ("plumbus", "<tool>"):
        pieces = old(token, add_special_tokens=False)["input_ids"]
        assert len(pieces) > 1
        number = tokenizer.convert_tokens_to_ids(token)
        assert tokenizer(token, add_special_tokens=False)["input_ids"] == [number]
        for name in ("get_input_embeddings", "get_output_embeddings"):
            expected = getattr(before, name)().weight[pieces].mean(0)
            assert torch.allclose(getattr(model, name)().weight[number], expected, atol=1e-6)
    spare = model.get_input_embeddings().weight[len(tokenizer) :]
    mean = before.get_input_embeddings().weight.mean(0)
    assert torch.allclose(spare, mean.expand_as(spare), atol=1e-6)


def test_words_are_kept_and_marks_are_left_out(tiny_model_dir: Path) -> None:
    tokenizer = load.tokenizer(small(tiny_model_dir, **NEW))
    ids = tokenizer("<tool>a plumbus</tool>", add_special_tokens=False)["input_ids"]
    assert "plumbus" in tokenizer.decode(ids, skip_special_tokens=True)
    assert "tool" not in tokenizer.decode(ids, skip_special_tokens=True)


def test_tokens_beyond_the_rows_of_the_model_are_told(tiny_model_dir: Path) -> None:
    """As in the many fine-tunes whose tokenizer got a pad token and whose embeddings did not."""
    values = small(tiny_model_dir)
    tokenizer, model = load.tokenizer(values), load.model(values, training=True)
    assert vocabulary.missing_row_notices(model, tokenizer) == []
    rows = model.get_input_embeddings().weight.shape[0]
    tokenizer.add_tokens([f"<{number}>" for number in range(rows + 1 - len(tokenizer))])
    (notice,) = vocabulary.missing_row_notices(model, tokenizer)
    assert (notice.notice, notice.params["count"], notice.params["rows"]) == (True, 1, rows)
    with pytest.raises(IndexError, match=r"^index out of range in self$"):
        model(input_ids=torch.tensor([[rows]]))


def with_far_piece(source: Path, folder: Path, distance: int, *, special: bool) -> Path:
    """A copy of the tiny model with a piece whose id is `distance` beyond its last one."""
    shutil.copytree(source, folder)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    number = max(content["model"]["vocab"].values()) + distance
    content["model"]["vocab"]["<far>"] = number
    if special:
        content["added_tokens"].append(
            content["added_tokens"][-1] | {"id": number, "content": "<far>"}
        )
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(number + 1, mean_resizing=False)
    model.save_pretrained(folder)
    return folder


def test_new_tokens_have_rows_where_ids_have_gaps(tiny_model_dir: Path, workspace: Path) -> None:
    """As in tokenizers made of o200k: the rows were counted by the tokens, which are fewer."""
    folder = with_far_piece(tiny_model_dir, workspace / "gap", 80, special=True)
    values = small(folder, finetuning_type="full", **NEW)
    tokenizer = load.tokenizer(values)
    number = tokenizer.convert_tokens_to_ids("plumbus")
    assert number > len(tokenizer)
    model = load.model(values, training=True, vocabulary=len(tokenizer))
    assert len(model.get_input_embeddings().weight) > number


def test_a_new_token_takes_no_other_s_id(tiny_model_dir: Path, workspace: Path) -> None:
    """tokenizers 0.23.3 gives the first new token the number of pieces as its id, taken or not."""
    folder = with_far_piece(tiny_model_dir, workspace / "gap", 2, special=False)
    with pytest.raises(UsageError) as error:
        load.tokenizer(small(folder, add_tokens="plumbus"))
    (problem,) = error.value.problems
    assert (problem.code, problem.params["other"]) == ("new_token_id", "<far>")


def test_a_described_token_begins_as_its_description(tiny_model_dir: Path, workspace: Path) -> None:
    file = workspace / "new.yaml"
    file.write_text('"<weather>": the weather is fine\n"<capital>": the capital of France\n')
    values = small(tiny_model_dir, finetuning_type="full", new_special_tokens_config=str(file))
    tokenizer = load.tokenizer(values)
    model = load.model(values, training=True, vocabulary=len(tokenizer))
    pieces = tokenizer("the weather is fine", add_special_tokens=False)["input_ids"]
    words = model.get_input_embeddings().weight
    number = tokenizer.convert_tokens_to_ids("<weather>")
    assert torch.allclose(words[number], words[pieces].mean(0), atol=1e-6)
    file.write_text("just a text")
    with pytest.raises(UsageError) as caught:
        load.tokenizer(values)
    assert caught.value.problems[0].code == "new_tokens_file"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dora": True},
        {"pissa_init": True, "pissa_iter": 4},
        {"additional_target": "embed_tokens"},
        {"finetuning_type": "full"},
    ],
    ids=str,
)
def test_a_run_answers_as_it_did_when_training_ended(
    options: dict[str, Any],
    model_dir: Path,
    workspace: Path,
    last_logits: list[torch.Tensor],
) -> None:
    """The new rows are learned; Chat and the next stage see the same logits as training did."""
    if "additional_target" in options and model_dir.name == "untied":
        options = {"additional_target": "embed_tokens,lm_head"}
    folder = train_small(workspace, model_dir, learning_rate=1e-2, **NEW, **options)
    model, tokenizer = chat(folder)
    assert len(tokenizer) == len(AutoTokenizer.from_pretrained(model_dir)) + 3
    assert torch.allclose(answer_logits(model, tokenizer), last_logits[0], atol=1e-4)
    number = tokenizer.convert_tokens_to_ids("plumbus")
    fresh = load.model(small(model_dir, finetuning_type="full", **NEW), training=True)
    words = torch.arange(len(tokenizer))
    begun = fresh.get_input_embeddings()(words)[number]
    assert not torch.allclose(model.get_input_embeddings()(words)[number], begun, atol=1e-3)


def test_an_adapter_brings_only_its_new_rows(model_dir: Path, workspace: Path) -> None:
    """A few numbers more than without new tokens; plain peft loads it, too."""
    from peft import AutoPeftModelForCausalLM

    folder = train_small(workspace, model_dir, **NEW)
    bare = train_small(workspace, model_dir, "bare")
    first, second = (load_file(each / "adapter_model.safetensors") for each in (folder, bare))
    extra = sum(first[name].numel() for name in set(first) - set(second))
    assert 0 < extra <= 2 * 3 * 32
    ours, tokenizer = chat(folder)
    plain = AutoPeftModelForCausalLM.from_pretrained(folder)
    rows = len(tokenizer)
    assert torch.allclose(
        answer_logits(plain, tokenizer)[..., :rows],
        answer_logits(ours, tokenizer)[..., :rows],
        atol=1e-5,
    )


def test_resize_vocab_alone_reaches_chat(
    tiny_model_dir: Path, workspace: Path, last_logits: list[torch.Tensor]
) -> None:
    """A tokenizer with more tokens than the model has rows: LoRA once answered with other rows."""
    write_dataset(workspace, "sums", ROWS)
    folder = workspace / "bigger"
    shutil.copytree(tiny_model_dir, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["plumbus", "<tool>"])
    tokenizer.save_pretrained(folder)
    run = train_small(workspace, folder, resize_vocab=True, learning_rate=1e-2)
    model, tokenizer = chat(run)
    assert torch.allclose(answer_logits(model, tokenizer), last_logits[0], atol=1e-5)


def test_the_export_answers_as_the_run(
    model_dir: Path, workspace: Path, last_logits: list[torch.Tensor]
) -> None:
    run = train_small(workspace, model_dir, learning_rate=1e-2, **NEW)
    log = workspace / "saves" / "export"
    log.mkdir()
    values = resolve(
        {
            **defaults("export"),
            "model_name_or_path": str(run),
            "export_dir": str(workspace / "whole"),
        }
    )
    export.run(values, log)
    model = AutoModelForCausalLM.from_pretrained(workspace / "whole")
    tokenizer = AutoTokenizer.from_pretrained(workspace / "whole")
    assert torch.allclose(answer_logits(model, tokenizer), last_logits[0], atol=1e-4)
    assert model.config.vocab_size == len(model.get_input_embeddings().weight)


def test_the_next_stage_goes_on(
    tiny_model_dir: Path, workspace: Path, last_logits: list[torch.Tensor]
) -> None:
    """The adapter learns on with its tokens; other new ones need an adapter of their own."""
    write_dataset(workspace, "sums", ROWS)
    first = train_small(workspace, tiny_model_dir, **NEW)
    again = train_small(workspace, tiny_model_dir, "again", adapter_name_or_path=str(first), **NEW)
    model, tokenizer = chat(again)
    assert torch.allclose(answer_logits(model, tokenizer), last_logits[1], atol=1e-5)
    more = {"add_tokens": "plumbus,gromflom", "adapter_name_or_path": str(first)}
    with pytest.raises(UsageError) as caught:
        train_small(workspace, tiny_model_dir, "more", **more)
    assert caught.value.problems[0].code == "new_tokens_and_adapter"
    stacked = train_small(workspace, tiny_model_dir, "stacked", create_new_adapter=True, **more)
    model, tokenizer = chat(tiny_model_dir, adapter_name_or_path=f"{first},{stacked}")
    assert torch.allclose(answer_logits(model, tokenizer), last_logits[2], atol=1e-4)


def test_what_is_asked_for_twice_is_added_once(tiny_model_dir: Path) -> None:
    values = small(tiny_model_dir, add_tokens="plumbus,plumbus,a", add_special_tokens="<|im_end|>")
    plain = AutoTokenizer.from_pretrained(tiny_model_dir)
    assert len(load.tokenizer(values)) == len(plain) + 1
    assert load.tokenizer(values).all_special_tokens == plain.all_special_tokens
    assert vocabulary.may_change(values)
