"""Settings of all tests."""

import os

from hypothesis import settings

# The same examples on every run of the landing script; new ones on every run by hand.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
