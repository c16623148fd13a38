"""Built-in templates beside the official template of a model that uses each of them.

texts.json holds what the official files write for the conversations of cases.py, docs/templates.md
is the table of it; `python -m tests.official` writes both.
"""
