"""Ten architectures through training, reloading, merging and chat; all of them when asked for."""

import pytest

from tests.matrix.__main__ import names, passed, walked
from tests.matrix.one import seeing

TEN = (
    *("llama", "qwen3", "gemma3_text", "mistral", "phi3", "glm4", "gpt2", "gpt_neox"),
    *("falcon", "mixtral"),
)


@pytest.mark.parametrize("model_type", TEN)
def test_an_architecture_goes_the_whole_way(model_type: str) -> None:
    assert passed(walked(model_type)), walked(model_type)


@pytest.mark.matrix
@pytest.mark.timeout(4 * 3600)
def test_nine_of_ten_architectures_go_the_whole_way() -> None:
    from tests.matrix.__main__ import walk

    result = walk(names())
    assert sum(map(passed, result.values())) >= 0.9 * len(result)


@pytest.mark.matrix
@pytest.mark.timeout(4 * 3600)
def test_what_also_sees_or_hears_is_whole_or_refused() -> None:
    """None ends with half a model: each goes the whole way, is refused in words, or cannot be made
    tiny (its build fails) or trained at all (its own error)."""
    from tests.matrix.__main__ import walk

    result = walk(seeing())
    assert len(result) > 100
    assert sum(map(passed, result.values())) > 60
    reasons = [why for results in result.values() for why in results.values()]
    assert not [why for why in reasons if "lost: " in why or "has changed" in why]
