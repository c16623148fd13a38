"""The commands in the ```sh blocks of the documents: which are run by a test, and which are not."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[1]

# The documents whose commands are run, each after those before it. The name of the starter model
# stands for a tiny one.
RUN = (
    "docs/first-fine-tune.md",
    "docs/data-formats.md",
    "docs/recipes.md",
    "docs/evaluation.md",
    "docs/stages.md",
    "docs/export.md",
    "docs/vocabulary.md",
    "docs/mcp.md",
)
# The commands that are not run, and why.
HELD = {
    "make *": "installs, serves, or runs all tests",
    "docker *": "needs a container engine; tests/image builds the image",
    "pip install *": "needs a network",
    "python -m tests.*": "a tool of this repository, some for minutes",
    "python -m pytest *": "some of the tests themselves",
    "echo *": "writes a login for a container",
    "tuneboard starter": "needs a network; tests/backend/test_starter.py has a hub of its own",
    "tuneboard data search *": "needs a network; tests/backend/test_hub_sets.py has a hub",
    "tuneboard data preview --hub *": "needs a network; tests/backend/test_hub_sets.py has a hub",
    "tuneboard data get *": "needs a network; tests/backend/test_hub_sets.py has a hub",
    "tuneboard webui *": "serves until it is stopped; tests/e2e",
    "NOTIFY_URLS=*": "serves until it is stopped; tests/e2e",
    "tuneboard resume first": "goes on with a run that was stopped; tests/backend/test_group.py",
    "tuneboard recipe preference_dpo model_name_or_path=*": "trains a chain on sets that are made "
    "up; tests/backend/test_group.py",
    "tuneboard recipe stop GROUP": "GROUP is a placeholder; tests/backend/test_group.py",
    "tuneboard recipe resume GROUP": "GROUP is a placeholder; tests/backend/test_group.py",
    "llama-server *": "another program; tests/backend/test_gguf.py reads such files with llama.cpp",
    "ollama *": "another program, a server; tests/backend/test_modelfile.py reads what it is given",
    "tuneboard export * --export_quantization_bit 4 *": "needs the extra gptq; "
    "tests/backend/test_export_extras.py",
    "vllm serve *": "another program, for GPUs; tests/backend/test_compressed.py reads what it is "
    "given with transformers",
}


def commands_of(page: str) -> list[str]:
    """The commands of a document, each in one line and without its comment."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.S | re.M)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    plain = (" ".join(re.sub(r"\s#.*", "", line).split()) for line in lines)
    return [line for line in plain if line]


def is_held(command: str) -> bool:
    """Whether a command is one of those that are not run."""
    return any(fnmatchcase(command, held) for held in HELD)
