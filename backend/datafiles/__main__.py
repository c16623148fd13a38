"""Index data files: python -m backend.datafiles FILE...; the page does so in the background."""

import os
import sys
from pathlib import Path

from backend.datafiles import index

os.nice(10)
for name in sys.argv[1:]:
    index.build(Path(name))
