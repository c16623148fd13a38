"""python -m tests.image [--again] [ROOM]: build the CPU image, run it, and say how large it is.

As root, with Debian's buildah, debootstrap and chromium. About ten minutes and 10 GB in ROOM
(/tmp/tuneboard-image unless named); a second time the base is there already. With --again the image
that is there is run and none is built.
"""

import argparse
import os
import sys

import pytest

from tests.image.engine import AGAIN, HERE, ROOM

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("room", nargs="?", default="/tmp/tuneboard-image")
    chosen = parser.parse_args()
    os.environ[ROOM] = chosen.room
    if chosen.again:
        os.environ[AGAIN] = "1"
    sys.exit(pytest.main(["-m", "image", "-n", "0", "-s", str(HERE / "test_image.py")]))
