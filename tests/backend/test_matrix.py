"""Ten architectures through training, reloading, merging and chat; all of them when asked for."""

import pytest

from tests.matrix.__main__ import NO_TEXT, names, passed, walked

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

    found = walk([name for name in names() if name not in NO_TEXT])
    assert sum(map(passed, found.values())) >= 0.9 * len(found)
