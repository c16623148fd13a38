"""The license in the head of a model's card: of cards as they are, and of hostile ones."""

from pathlib import Path

import pytest

from backend.contract.models import card_head

SCORES = "model-index:\n- results: &id001\n  - value: 1\n- results: *id001\n"
HEADS = [
    ("license: mit\n", "mit"),
    ("license: other\nlicense_name: mine\nlicense_link: LICENSE\n", "mine"),
    ("license:\n- mit\n- apache-2.0\ntags: [a]\n", "mit, apache-2.0"),
    ("license: >\n  a long\n\n  name\n", "a long name"),
    (f"{SCORES}license: mit\n", "mit"),
    (f"license: mit # of the base\n{SCORES}", "mit"),
    ("tags: " + "[" * 100_000 + "\nlicense: mit\n", "mit"),
    ("license: " + "[" * 100_000 + "\n", ""),
    ("license: {name: mit}\n", ""),
    ("license: []\n", ""),
    ("license: 2\n", ""),
    ("license: mit\nlicense: gpl\n", ""),
    ("  license: mit\n", ""),
    ("not_license: mit\n", ""),
]


@pytest.mark.parametrize(("head", "name"), HEADS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_license_of_a_head(tmp_path: Path, head: str, name: str, ends: str) -> None:
    """The parser of the Hub's package reads a whole head, and fails with RecursionError at deep
    brackets."""
    text = f"---\n{head}---\n# A model\nlicense: none of the head\n".replace("\n", ends)
    (tmp_path / card_head.NAME).write_bytes(text.encode())
    assert card_head.name_license(card_head.read(tmp_path)) == name


@pytest.mark.parametrize("text", ["", "# A\n---\nlicense: mit\n---\n", "---\nlicense: mit\n", "\0"])
def test_a_card_without_a_head_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / card_head.NAME).write_text(text)
    assert card_head.read(tmp_path) == {}


def test_a_card_names_its_bases_and_may_be_missing(tmp_path: Path) -> None:
    assert card_head.read(tmp_path) == {}
    text = "\ufeff---\nbase_model:\n- one/a\n- two/b\nlicense_link: https://example.org/terms\n---"
    (tmp_path / card_head.NAME).write_text(text, encoding="utf-8")
    assert card_head.read(tmp_path) == {
        "base_model": ["one/a", "two/b"],
        "license_link": "https://example.org/terms",
    }
