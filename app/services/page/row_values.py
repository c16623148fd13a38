"""Values of the Train form that follow from the number of rows, in fields that nobody has set."""

from collections.abc import Collection
from dataclasses import dataclass, field

from app.i18n import t
from app.services.data import row_counts
from app.services.runs.fixes import describe_change
from backend.contract.advice import small_sets
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.field import Value, Values
from backend.contract.runs.resuming import device_count
from backend.contract.texts.numbers import format_number


@dataclass(frozen=True)
class RowValues:
    """The values that follow from so many rows, and those that they take the place of; none where
    the defaults suit the rows, or their number is not known."""

    rows: int = 0
    values: Values = field(default_factory=dict)
    before: Values = field(default_factory=dict)

    def describe(self, lang: str) -> str:
        """The rows, and each value with the default that it takes the place of; "" for none."""
        if not self.values:
            return ""
        changes = [
            describe_change(name, _shorten(self.before[name]), _shorten(value), lang)
            for name, value in self.values.items()
        ]
        return t("row_values.line", lang, rows=format_number(self.rows), values=" · ".join(changes))

    def describe_field(self, lang: str) -> str:
        """What stands below the field of such a value."""
        return t("row_values.field", lang, rows=format_number(self.rows))


def _shorten(value: Value) -> Value:
    """A number as its field shows it: 3, not 3.0."""
    return f"{value:g}" if isinstance(value, float) else value


def follow(values: Values, own: Collection[str]) -> RowValues:
    """The values that follow from the rows of the chosen data sets.

    own  arguments that somebody has set, be it to their defaults
    """
    arguments = resolve(values)
    if arguments.stage != "sft" or arguments.max_steps:
        return RowValues()
    rows = row_counts.count_learned(arguments, small_sets.SMALL)
    if not rows:
        return RowValues()
    suggested = small_sets.suggest(arguments, rows, device_count(arguments), own)
    return RowValues(rows, suggested, {name: values[name] for name in suggested})
