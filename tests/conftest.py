"""Settings of all tests."""

import os

from hypothesis import settings

os.environ["LC_ALL"] = "C.UTF-8"  # of whoever runs them: the command speaks that language

# The same examples on every run of the landing script; new ones on every run by hand.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
