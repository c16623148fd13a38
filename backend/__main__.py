"""The command `tuneboard`: its words are parsed, and what they ask for is done.

Parse, check, then import: everything that can be said without torch is said before torch is loaded.
"""

import json
import logging
import sys

from backend.cli.commands import dispatch
from backend.contract.texts.problems import TuneboardError

# Libraries that warn, whenever they are imported, of what this machine lacks, asked for or not.
UNASKED = ("torchao", "bitsandbytes.backends", "torch.utils._pytree")


def main(argv: list[str] | None = None) -> int:
    """The `tuneboard` command; returns the exit code."""
    for library in UNASKED:
        logging.getLogger(library).setLevel(logging.ERROR)
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(words)
    except TuneboardError as error:
        from backend.contract.texts.printing import print_problems

        if words[:1] in (["data"], ["models"]) and "--progress" in words:
            # The page reads it, and may speak another language.
            problems = [problem.to_json() for problem in error.problems]
            sys.stderr.write(json.dumps({"problems": problems}) + "\n")
        print_problems(error.problems)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
