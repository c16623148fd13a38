"""The fixtures of other tests that the image's share."""

from tests.backend.conftest import tiny_model_dir, tiny_tokenizer  # noqa: F401
from tests.e2e.conftest import browser  # noqa: F401
