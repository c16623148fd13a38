"""The worker of a chain in tests: the real conductor, and a fake trainer for each stage.

TUNEBOARD_WORKER="python tests/fakes/chain.py"; chain.json in the working folder maps the end of a
run folder's name (its stage) to the fake trainer's options.
"""

import json
import os
import shlex
import sys
from pathlib import Path

from backend.contract.folders.home import home

TRAINER = Path(__file__).with_name("trainer.py")


def main() -> None:
    words = sys.argv[1:]
    if words[0] == "recipe":
        os.execv(sys.executable, [sys.executable, "-m", "backend", *words])
    stage = Path(os.environ["TUNEBOARD_RUN"]).name.rpartition("-")[2]
    options = json.loads((home() / "chain.json").read_text()).get(stage, "")
    os.execv(sys.executable, [sys.executable, str(TRAINER), *shlex.split(options), *words])


if __name__ == "__main__":
    main()
