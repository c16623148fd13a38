"""The table of arguments: every field, by subject. Names and defaults are LLaMA-Factory's."""

from backend.contract.arguments.fields.table import FIELDS, GROUPS

__all__ = ["FIELDS", "GROUPS"]
