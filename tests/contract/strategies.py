"""Hypothesis strategies over the table of arguments."""

from hypothesis import strategies as st

from backend.contract.arguments.arguments import defaults, fields_of
from backend.contract.arguments.field import Field, FieldError, Value, Values

TASKS = ("train", "eval", "chat", "api", "export", "vocab")
HOSTILE = (
    "; touch CANARY",
    "$(touch CANARY)",
    "`touch CANARY`",
    "a\ntouch CANARY\n",
    "x && touch CANARY",
    "| touch CANARY",
    "'; touch CANARY; '",
    '"; touch CANARY; "',
    "--output_dir=/tmp/x",
    "-rf",
    "--",
    "$HOME ~ * ? [a] {a,b} !x #y \\",
    "=",
    "a=b",
    "no",
    "5e-05",
    "0x10",
    "- a: [b]",
    "{a: b}",
    "&a *a !!python/object:os.system",
    "中文 🦙 \u2028 \x85 \x01",
)


def parsed(row: Field, raw: object) -> Value:
    """The parsed value, or the default where the row refuses `raw`."""
    try:
        return row.parse(raw)
    except FieldError:
        return row.default


def value_of(row: Field) -> st.SearchStrategy[Value]:
    """Valid values of one row."""
    return _raw(row).map(lambda raw: parsed(row, raw))


def _raw(row: Field) -> st.SearchStrategy[object]:
    if row.kind == "bool":
        some: st.SearchStrategy[object] = st.booleans()
    elif row.kind == "int":
        some = st.integers(int(row.low or 0), int(row.high or 0))
    elif row.kind == "float":
        some = st.floats(row.low, row.high)
    elif row.kind == "choice":
        some = st.sampled_from(row.choices)
    else:
        some = st.sampled_from(HOSTILE) | st.text(max_size=40)
    return st.none() | some if row.optional else some


@st.composite
def values(draw: st.DrawFn, task: str) -> Values:
    """A complete, valid set of values of a subcommand, a few of them not at their defaults."""
    rows = {row.name: row for row in fields_of(task)}
    names = draw(st.lists(st.sampled_from(sorted(rows)), max_size=8, unique=True))
    return {**defaults(task), **{name: draw(value_of(rows[name])) for name in names}}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Values]:
    """A subcommand and a set of its values."""
    task = draw(st.sampled_from(TASKS))
    return task, draw(values(task))
