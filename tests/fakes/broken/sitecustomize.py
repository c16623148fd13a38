"""A page with three mistakes in it: what stands before this folder on the import path has none."""

import sys

if "app" in sys.orig_argv:
    from app.form import offers
    from app.services.data import datasets
    from app.services.page import presets

    def broken(*_: object, **__: object) -> None:
        """What nobody expected."""
        raise KeyError("what was typed: CANARY")

    presets.save = broken
    datasets.check_rows = broken
    offers._models = broken
