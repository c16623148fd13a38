"""docs/examples.md: what became of LLaMA-Factory's examples, written by tests/examples.py."""

import re

from tests.examples import FOLDERS, PAGE

ACT = re.compile(
    r"\b(Choose|Use|Set|Install|Start|Give|Download|Check|To spend less|To save memory)\b", re.ASCII
)


def test_each_example_runs_or_is_refused_with_what_to_do() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+/\S+) \| (\S+) \| (.*) ?\|$", text, re.MULTILINE)
    assert len(rows) == text.count("\n| ") - 1 > 45
    assert {name.split("/")[0] for name, _, _ in rows} == set(FOLDERS)
    outcomes = [outcome for _, outcome, _ in rows]
    assert set(outcomes) <= {"runs", "refused", "–"}, "one that failed is a fault"
    runs, refused = outcomes.count("runs"), outcomes.count("refused")
    assert (runs, refused) >= (30, 15)
    assert f"{runs} run; {refused} are\nrefused before anything is loaded" in text
    sentences = [said for _, outcome, said in rows if outcome == "refused"]
    for said in (one for cell in sentences for one in cell.strip().split("<br>")):
        assert ACT.search(said), said
        assert "Remove it" not in said, said
