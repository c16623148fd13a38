"""/v1/embeddings as OpenAI's own client asks for it, against the hidden states of transformers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend.openai_clients import connected
from tests.backend.test_openai_client import error_of
from tests.backend.test_serve_process import api_values
from tests.backend.training import train_small

openai = pytest.importorskip("openai")  # of the extra "dev"
TEXTS = ["Who are you?", "A longer text, which is read in one pass with a shorter one.", "Paris"]


@pytest.fixture(scope="module")
def client(tiny_model_dir: Path) -> Iterator[Any]:
    with connected(service_of(tiny_model_dir)) as made:
        yield made


def service_of(folder: Path) -> Service:
    values = api_values(model_name_or_path=str(folder))
    return Service("tiny", lambda: Engine.load(values))


def vectors(response: Any) -> torch.Tensor:
    return torch.tensor([row.embedding for row in response.data])


def states(folder: Path, texts: list[Any]) -> list[torch.Tensor]:
    """The last hidden states of each text, read alone."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer(text)["input_ids"] if isinstance(text, str) else text for text in texts]
    with torch.no_grad():
        return [
            model(torch.tensor([row]), output_hidden_states=True).hidden_states[-1][0]
            for row in rows
        ]


def unit(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def test_the_last_token_s_state_of_length_one(client: Any, tiny_model_dir: Path) -> None:
    """The client asks for base64 by itself, and for numbers where it is told to."""
    expected = unit([each[-1] for each in states(tiny_model_dir, TEXTS)])
    response = client.embeddings.create(model="tiny", input=TEXTS)
    torch.testing.assert_close(vectors(response), expected, rtol=1e-4, atol=1e-5)
    assert [row.index for row in response.data] == [0, 1, 2]
    assert response.model == "tiny"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    count = sum(len(tokenizer(text)["input_ids"]) for text in TEXTS)
    assert response.usage.prompt_tokens == response.usage.total_tokens == count
    plain = client.embeddings.create(model="tiny", input=TEXTS, encoding_format="float")
    torch.testing.assert_close(vectors(plain), vectors(response), rtol=1e-6, atol=1e-7)


def test_one_text_and_token_ids(client: Any, tiny_model_dir: Path) -> None:
    rows = [[5, 6, 7], [8]]
    expected = unit([each[-1] for each in states(tiny_model_dir, rows)])
    of_ids = vectors(client.embeddings.create(model="tiny", input=rows))
    torch.testing.assert_close(of_ids, expected, rtol=1e-4, atol=1e-5)
    one = client.embeddings.create(model="tiny", input=rows[0])
    torch.testing.assert_close(vectors(one), expected[:1], rtol=1e-4, atol=1e-5)
    assert len(client.embeddings.create(model="tiny", input="Paris").data) == 1


def test_fewer_dimensions_have_length_one_again(client: Any) -> None:
    whole = vectors(client.embeddings.create(model="tiny", input=TEXTS))
    short = vectors(client.embeddings.create(model="tiny", input=TEXTS, dimensions=8))
    assert short.shape == (3, 8)
    torch.testing.assert_close(short, unit(list(whole[:, :8])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"input": []}, "input", "bad_parameter"),
        ({"input": ["", "a"]}, "input", "prompt_empty"),
        ({"input": [[1, 10**6]]}, "input", "unknown_token"),
        ({"input": "a " * 5000}, "input", "prompt_too_long"),
        ({"input": ["a"] * 2049}, "input", "bad_parameter"),
        ({"dimensions": 33}, "dimensions", "dimensions_too_many"),
        ({"dimensions": 0}, "dimensions", "bad_parameter"),
        ({"encoding_format": "int8"}, "encoding_format", "bad_parameter"),
        ({"extra_body": {"truncate": True}}, "truncate", "unknown_parameter"),
    ],
)
def test_what_is_refused(client: Any, more: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(**{"model": "tiny", "input": "a", **more})
    error = error_of(caught.value)
    assert (error["param"].split(".")[0], error["code"]) == (param, code)


def with_pooling(folder: Path, target: Path, kinds: tuple[str, ...], **modes: bool) -> Path:
    """The model with files as sentence-transformers writes them."""
    shutil.copytree(folder, target)
    (target / "1_Pooling").mkdir()
    config = {"word_embedding_dimension": 32, **modes}
    (target / "1_Pooling" / "config.json").write_text(json.dumps(config))
    modules = [
        {"idx": n, "name": str(n), "path": "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (target / "modules.json").write_text(json.dumps(modules))
    return target


@pytest.mark.parametrize(
    ("mode", "pool"),
    [
        ("pooling_mode_mean_tokens", lambda each: each.mean(0)),
        ("pooling_mode_max_tokens", lambda each: each.amax(0)),
        ("pooling_mode_cls_token", lambda each: each[0]),
    ],
)
def test_the_model_s_own_pooling(
    tiny_model_dir: Path, tmp_path: Path, mode: str, pool: Any
) -> None:
    folder = with_pooling(
        tiny_model_dir, tmp_path / "own", ("Transformer", "Pooling"), **{mode: True}
    )
    expected = torch.stack([pool(each) for each in states(tiny_model_dir, TEXTS)])
    with connected(service_of(folder)) as client:
        response = client.embeddings.create(model="tiny", input=TEXTS)
    torch.testing.assert_close(vectors(response), expected, rtol=1e-4, atol=1e-5)


def test_a_pooling_that_is_not_done_here(tiny_model_dir: Path, tmp_path: Path) -> None:
    kinds = ("Transformer", "Pooling", "Dense")
    folder = with_pooling(tiny_model_dir, tmp_path / "own", kinds, pooling_mode_mean_tokens=True)
    with (
        connected(service_of(folder)) as client,
        pytest.raises(openai.BadRequestError, match=r"modules\.json.*Dense"),
    ):
        client.embeddings.create(model="tiny", input="a")


@pytest.mark.parametrize("method", ["prompt", "ptuning", "prefix"])
def test_learned_tokens_before_the_text_have_no_vector(
    method: str, workspace: Path, tiny_model_dir: Path
) -> None:
    """Pooling counts the text's own tokens, in a batch of several lengths, too; a learned prompt
    made the mask too short, and the answer was 500."""
    run = train_small(workspace, tiny_model_dir, finetuning_type=method, max_steps=1)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model_dir), run)
    rows = [AutoTokenizer.from_pretrained(tiny_model_dir)(text)["input_ids"] for text in TEXTS]
    with torch.no_grad():
        outputs = [
            tuned.eval()(
                input_ids=torch.tensor([row]),
                attention_mask=torch.ones(1, len(row), dtype=torch.int64),
                output_hidden_states=True,
            )
            for row in rows
        ]
    expected = unit([each.hidden_states[-1][0, -1] for each in outputs])
    with connected(service_of(run)) as client:
        response = client.embeddings.create(model="tiny", input=TEXTS)
    torch.testing.assert_close(vectors(response), expected, rtol=1e-4, atol=1e-5)
    plain = unit([each[-1] for each in states(tiny_model_dir, TEXTS)])
    assert (vectors(response) - plain).abs().max() > 1e-3
