"""Several adapters over one base: each request is answered by the one that it names."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from backend.contract.texts.problems import ModelError, UsageError
from backend.model import adapters
from backend.serving import names
from backend.serving.engine import Engine
from backend.serving.generation_request import GenerationRequest
from backend.serving.service import Service
from tests.backend.test_serve_process import HELLO, api_values, listening
from tests.failures.conftest import until

openai = pytest.importorskip("openai")  # of the extra "dev"
COUNT = 3


@pytest.fixture(scope="module")
def folders(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Adapters of the tiny model, each with answers of its own."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made = []
    for number in range(COUNT):
        torch.manual_seed(number + 1)
        made.append(tmp_path_factory.mktemp("adapters") / f"adapter{number}")
        config = LoraConfig(
            r=4,
            lora_alpha=64,
            target_modules="all-linear",
            init_lora_weights=False,
            task_type="CAUSAL_LM",
        )
        base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
        get_peft_model(base, config).save_pretrained(made[-1])
    return made


def values_of(model: Path, main: Path | None, others: dict[str, Path]) -> Any:
    listed = json.dumps({name: str(folder) for name, folder in others.items()})
    more = {"adapter_name_or_path": str(main)} if main else {}
    return api_values(
        model_name_or_path=str(model), api_adapters=listed, api_model_name="main", **more
    )


def answers_alone(model: Path, folders: list[Path]) -> list[str]:
    """What the base says, and each adapter where it is the only one."""
    texts = []
    for folder in (None, *folders):
        engine = Engine.load(values_of(model, folder, {}))
        request = GenerationRequest(messages=HELLO, sampling=sampling())
        shown: list[Any] = []
        engine.answer(request, shown.append)
        texts.append("".join(shown))
    assert len(set(texts)) == len(texts)
    return texts


def sampling() -> Any:
    from backend.model.generation import Sampling

    return Sampling(temperature=0, max_tokens=16)


@pytest.fixture(scope="module")
def alone(tiny_model_dir: Path, folders: list[Path]) -> list[str]:
    return answers_alone(tiny_model_dir, folders)


@pytest.fixture(params=["adapter", "base"])
def client(
    tiny_model_dir: Path, folders: list[Path], request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A server whose main model is the first adapter, or the base, with the others beside it."""
    main = folders[0] if request.param == "adapter" else None
    others = {"polite one": folders[1], "org/short.2": folders[2]}
    values = values_of(tiny_model_dir, main, others)
    service = Service("main", lambda: Engine.load(values))
    with listening(service) as address:
        until(lambda: service.state in {"ready", "failed"}, 60)
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as made:
            made.main = main
            yield made


def test_each_name_is_answered_by_its_adapter(
    client: Any, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, several times over; nothing is loaded again."""
    expected = {"polite one": alone[2], "org/short.2": alone[3]}
    expected |= {"main": alone[1], "base": alone[0]} if client.main else {"main": alone[0]}
    assert {model.id for model in client.models.list()} == set(expected)

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("an adapter is loaded")

    monkeypatch.setattr(adapters, "attach", fail)
    monkeypatch.setattr(adapters, "attach_beside", fail)

    def ask(name: str) -> str:
        body = client.chat.completions.create(
            model=name, messages=HELLO, temperature=0, max_tokens=16
        )
        assert body.model == name
        return str(body.choices[0].message.content)

    wanted = [*expected, *expected, *reversed(expected)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, wanted)) == [expected[name] for name in wanted]
    for name in expected:
        text = client.completions.create(model=name, prompt="hello", temperature=0, max_tokens=4)
        item = client.responses.create(
            model=name, input="Who are you?", temperature=0, max_output_tokens=16
        )
        assert item.output_text == expected[name]
        assert text.model == name


def test_answered_alone_each_adapter_is_itself(
    tiny_model_dir: Path, folders: list[Path], alone: list[str]
) -> None:
    others = {"b": folders[1], "c": folders[2]}
    engine = Engine.load(values_of(tiny_model_dir, folders[0], others))
    cases = [("", True, 1), ("b", True, 2), ("", False, 0), ("c", True, 3), ("b", True, 2)]
    for adapter, tuned, place in cases:
        shown: list[Any] = []
        request = GenerationRequest(
            messages=HELLO, sampling=sampling(), adapter=adapter, tuned=tuned
        )
        engine.answer(request, shown.append)
        assert "".join(shown) == alone[place]


@pytest.mark.parametrize(
    "listed", ['{"base": "x"}', '{"main": "x"}', '{"": "x"}', '{"a": 5}', '{"a": ""}']
)
def test_a_wrong_name_or_folder_is_refused(tiny_model_dir: Path, listed: str) -> None:
    values = values_of(tiny_model_dir, None, {}).replace(api_adapters=listed)
    with pytest.raises(UsageError) as caught:
        names.adapters(values)
    assert caught.value.problems[0].field == "api_adapters"


def test_a_folder_that_is_no_adapter_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        Engine.load(values_of(tiny_model_dir, None, {"a": tmp_path / "nowhere"}))
    assert {problem.field for problem in caught.value.problems} == {"api_adapters"}
