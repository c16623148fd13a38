"""A chat template that came with a model is somebody else's program (S-29, S-30)."""

import threading
import time
from pathlib import Path

import pytest

from backend.contract.problems import UsageError
from backend.data import templates
from backend.data.render_limit import RenderTimeoutError, limited
from tests.backend.conftest import CHATML, make_tokenizer

HOSTILE = {
    "globals": "{{ cycler.__init__.__globals__.os.popen('touch pwned').read() }}",
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ (''|attr('__class__')).__mro__ }}",
    "format_map": "{{ '{0.__class__.__init__.__globals__}'.format_map({'0': cycler}) }}",
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "nested": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "silent": "{% for i in range(99999) %}{% for j in range(99999) %}{% set x = i %}{% endfor %}"
    "{% endfor %}",
    "huge": "{{ 'x' * 100000000 }}",
    "change": "{{ messages.append(1) }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_within_seconds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start = time.monotonic()
    with pytest.raises(UsageError) as caught:
        templates.load({"template": "auto"}, make_tokenizer(template=HOSTILE[name] + CHATML))
    assert time.monotonic() - start < 10  # 1.5 s on an idle machine
    assert caught.value.problems[0].code == "template_broken"
    assert list(tmp_path.iterdir()) == []


def test_the_limit_holds_in_any_thread() -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            with limited(0.2):
                while True:
                    pass
        except RenderTimeoutError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert len(caught) == 1


def test_the_limit_ends_with_its_block() -> None:
    with limited(0.05):
        pass
    time.sleep(0.2)
