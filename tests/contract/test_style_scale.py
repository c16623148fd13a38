"""The style sheets: texts on one scale of six, distances on a grid of 4 px, no left and right.

Fourteen sizes of text had crept in (0.78, 0.82, 0.85, 0.88 rem beside those of the scale), and
distances of 3, 6, 7, 10 and 18 px.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCALE = ROOT / "app" / "browser" / "scale.css"
SHEETS = sorted((ROOT / "app" / "browser").glob("*.css"))
SIZE = re.compile(r"[^-\w]font(?:-size)?:\s*([^;}]+)")
ON_SCALE = re.compile(r"(var\(--type-\w+\)(/[\d.]+ .*)?|inherit|0|0\.\d+em)( !important)?")
DISTANCE = re.compile(r"[^-\w](?:padding|margin|gap|row-gap|column-gap)[a-z-]*:\s*([^;}]+)")
PIXELS = re.compile(r"(?<![\w.-])-?(\d+)px")
FINE = 2  # px: hairlines and what hugs a glyph
PHYSICAL = re.compile(
    r"(?:margin|padding|border)-(?:left|right)\b[^;}]*|[^-\w](?:left|right|float):[^;}]*"
    r"|text-align: (?:left|right)|rotate\("
)
ONE = r"(\w+\([^)]*\)|[^\s;!(),]+)"
FOUR = re.compile(rf"[^-\w](?:margin|padding|inset): {ONE} {ONE} {ONE} {ONE}")
# A closed section points to its text; code runs from left to right; so do values that are typed.
SIDED = ["rotate(", "rotate(", "text-align: left", "text-align: right"]


def off_scale(css: str) -> list[str]:
    """The declarations whose size is on neither the scale nor the grid."""
    sizes = [match[0] for match in SIZE.finditer(css) if not ON_SCALE.fullmatch(match[1].strip())]
    distances = [
        match[0]
        for match in DISTANCE.finditer(css)
        if any(int(px) > FINE and int(px) % 4 for px in PIXELS.findall(match[1]))
    ]
    return sizes + distances


def sided(css: str) -> list[str]:
    """The declarations that are wrong in a language that is written from right to left."""
    unequal = [match[0] for match in FOUR.finditer(css) if match[2] != match[4]]
    return [match[0].strip() for match in PHYSICAL.finditer(css)] + unequal


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_the_page_can_be_mirrored(sheet: Path) -> None:
    """A border stood on the far side of its box in Arabic, and an arrow on top of its text."""
    allowed = SIDED if sheet == SCALE else []
    assert sided(sheet.read_text(encoding="utf-8")) == allowed


def test_a_side_of_the_page_is_seen() -> None:
    css = "a { margin-left: 4px; } b { left: 0; padding: 0 1px 0 2px; } c { text-align: right; }"
    assert len(sided(css)) == 4
    assert sided("a { margin-inline: 4px; padding: 0 4px 8px 4px; border-left-color: red }") != []


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_sizes_are_on_the_scale(sheet: Path) -> None:
    css = sheet.read_text(encoding="utf-8")
    assert off_scale(css) == []
    known = set(re.findall(r"(--type-\w+):", SCALE.read_text(encoding="utf-8")))
    assert set(re.findall(r"var\((--type-\w+)", css)) <= known
    assert len(known) == 6


def test_a_size_off_the_scale_is_seen() -> None:
    """And the sheets are not so empty that nothing could be."""
    sizes = "a { font-size: 0.82rem; } b { font: 13px/1.5 serif; }"
    distances = "a { padding: 4px 10px; margin-top: 6px; gap: 8px 5px; }"
    assert len(off_scale(sizes + distances)) == 5
    css = "".join(sheet.read_text(encoding="utf-8") for sheet in SHEETS)
    assert len(SIZE.findall(css)) > 60
    assert len(DISTANCE.findall(css)) > 150
