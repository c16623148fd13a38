"""The documents agree with the program: commands parse, links lead somewhere, paths exist."""

import fnmatch
import importlib.util
import json
import re
import shlex
import tomllib
from argparse import Namespace
from pathlib import Path

import pytest
import yaml

from app.__main__ import options
from backend.cli.commands import COMMANDS, split_words
from backend.cli.commands import parse as parse_words
from backend.contract.arguments.arguments import check_parsed, from_argv, parse, parse_pairs
from backend.contract.launching import recipes
from backend.contract.texts.problems import Problem, UsageError, errors
from tests import documented_commands
from tests.contract.strategies import TASKS

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "saves" / "README.md"]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Programs of others that a command in the documents may begin with.
OTHERS = {"docker", "echo", "git", "llama-server", "ollama", "vllm"}
SETTING = re.compile("[A-Z_]+=")  # of a variable, before the command that gets it
A_RUN = {"model_name_or_path": "m", "dataset": "identity", "output_dir": "saves/m/lora/r"}
PROJECT_FILE = re.compile(r"`((?:app|backend|tests|data|locales|docs)/[\w/.-]*)`")
SYMBOL = re.compile(r"`(\w+)` in `((?:app|backend|tests)/[\w/]+\.py)`")
LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)")
RULE = re.compile(r"\b([ACDFGHLRSX])-(\d\d)\b(?:(?: to |\.\.)(?:[A-Z]-)?(\d\d)\b)?|\b(P[78])\b")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder of its own, and commands that end after their options were parsed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(A_RUN))


def lines_of_shell(text: str) -> list[list[str]]:
    """The words of each command in the ```sh blocks of a page."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.S | re.M)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] if SETTING.match(words[0]) else words for words in commands if words]


def of_task(task: str, words: list[str]) -> list[Problem]:
    values, problems = from_argv(words, task)
    return check_parsed(values, problems, task)


def of_resume(given: Namespace) -> list[Problem]:
    values, problems = parse_pairs(given.more)
    return problems + parse(values, "train")[1]


def of_recipe(given: Namespace) -> list[Problem]:
    if not given.words:
        return []
    values, problems = parse_pairs(given.more)
    plan = recipes.plan(recipes.read(given.recipe), "group", values)
    return [*problems, *plan.problems, *(one for step in plan.steps for one in step.problems)]


def problems_of(words: list[str]) -> list[Problem]:
    """What the parser of a `tuneboard` command says of its words."""
    name, rest = split_words(words[1:])
    assert name
    if name in TASKS:
        return of_task(name, rest)
    try:
        if name == "webui":
            options(rest)
        given = parse_words(name, rest)
    except UsageError as error:
        return list(error.problems)
    if name in {"resume", "runs resume"}:
        return of_resume(given)
    if name == "recipe":
        return of_recipe(given)
    return from_argv(given.more, "train")[1] if "more" in given else []


def is_known(words: list[str]) -> bool:
    """Whether a command that is not `tuneboard` is one that there is."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        return all(word in targets or re.fullmatch(r"[A-Z]+=\S+", word) for word in words[1:])
    if words[0].endswith("python") and words[1] == "-m":
        return importlib.util.find_spec(words[2]) is not None
    if words[:2] == ["pip", "install"]:
        wanted = re.fullmatch(r"(?:tuneboard|\.)\[(.+)\]", words[-1])
        extras = PROJECT["optional-dependencies"]
        return bool(wanted) and all(name in extras for name in wanted[1].split(","))
    if words[:3] == ["docker", "compose", "up"]:
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        return all(word in services for word in words[3:])
    return words[0] in OTHERS


def test_each_command_in_the_documents_is_parsed_by_the_program() -> None:
    """By the parser of the command itself, against the real rows."""
    wrong, count = [], 0
    for page, text in TEXTS.items():
        for words in lines_of_shell(text):
            if words[0] == "tuneboard":
                count += 1
                found = [problem.text() for problem in errors(problems_of(words))]
                wrong += [f"{page}: {shlex.join(words)}: {said}" for said in found]
            elif not is_known(words):
                wrong.append(f"{page}: {shlex.join(words)}: not a command that there is")
    assert wrong == []
    assert count >= 30


@pytest.mark.parametrize(
    "line",
    [
        "tuneboard train run.yaml learning_rat=1",
        "tuneboard data clean mine --into",
        "tuneboard data check mine --no-such-option",
        "tuneboard data chek mine",
        "tuneboard runs --jsn",
        "tuneboard runs stop",
        "tuneboard webui --prot 7861",
        "tuneboard recipe preference_dpo sft.no_such=1",
        "tuneboard resume first lora_rnk=2",
        "tuneboard data tokens --datasett mine --rows 0:3",
    ],
)
def test_a_wrong_command_is_seen(line: str) -> None:
    assert errors(problems_of(shlex.split(line)))


def test_each_command_in_the_running_text_exists() -> None:
    names = [
        match[1] for text in TEXTS.values() for match in re.finditer(r"`tuneboard ([a-z]+)\b", text)
    ]
    assert [name for name in names if name not in COMMANDS] == []
    assert len(names) > 40


def test_each_program_in_the_documents_is_run_by_a_test() -> None:
    """tests/backend/test_tutorial.py runs those that train; the client of the API only compiles."""
    blocks = [
        (page, block)
        for page, text in TEXTS.items()
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    ]
    for page, block in blocks:
        compile(block, page, "exec")
    run = (ROOT / "tests" / "backend" / "test_tutorial.py").read_text(encoding="utf-8")
    trained = {page for page, block in blocks if "backend.tuner" in block}
    assert len(trained) == 2
    assert all(f'"{page}"' in run for page in trained)
    assert {page for page, _ in blocks} - trained == {"docs/serving.md"}


def test_each_recipe_in_the_documents_is_read(tmp_path: Path) -> None:
    blocks = [
        block
        for text in TEXTS.values()
        for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M)
        if "stages:" in block
    ]
    for block in blocks:
        (tmp_path / "mine.yaml").write_text(block, encoding="utf-8")
        assert errors(of_recipe(parse_words("recipe", ["mine.yaml"]))) == []
    assert len(blocks) == 1


def test_each_link_out_of_the_site_leads_to_a_file() -> None:
    """mkdocs checks the links within docs/; these are the pages beside it, and the notebook."""
    texts = {name: text for name, text in TEXTS.items() if not name.startswith("docs/")}
    notebook = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text(encoding="utf-8"))
    texts["docs/tutorial.ipynb"] = "".join("".join(cell["source"]) for cell in notebook["cells"])
    count, missing = 0, []
    for name, text in texts.items():
        for target in LINK.findall(text):
            if not re.match(r"[a-z]+:", target):
                count += 1
                if not (ROOT / name).parent.joinpath(target.partition("#")[0]).exists():
                    missing.append(f"{name}: {target}")
    assert missing == []
    assert count > 30


def test_each_document_that_code_and_texts_name_exists() -> None:
    files = [
        *(ROOT / "locales").glob("*.json"),
        *(file for name in ("app", "backend", "tests", "findings") for file in _texts(name)),
        *(ROOT / name for name in ("Dockerfile", "docker-compose.yml", "Makefile", "CHANGELOG.md")),
    ]
    count, missing = 0, []
    for file in files:
        for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|png|ipynb)\b", file.read_text("utf-8")):
            count += 1
            if not (ROOT / name).is_file() and "spec.md" not in name:
                missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert missing == []
    assert count > 20


def _texts(folder: str) -> list[Path]:
    return [
        file
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".md", ".sh", ".js", ".json", ".yaml"}
    ]


def test_each_path_and_name_of_the_code_in_the_documents_exists() -> None:
    """Also `name` in `path`: the walks through the code, and where things are."""
    own = {name: text for name, text in TEXTS.items() if name not in {"CHANGELOG.md"}}
    paths = {(page, path) for page, text in own.items() for path in PROJECT_FILE.findall(text)}
    written = {"data/tuner/rows-", "data/custom_pt_train_data.json"}
    assert [
        f"{page}: {path}"
        for page, path in sorted(paths)
        if not (ROOT / path).exists() and path not in written
    ] == []
    assert len(paths) > 40
    symbols = {found for text in own.values() for found in SYMBOL.findall(text)}
    assert [
        f"{name} in {path}"
        for name, path in sorted(symbols)
        if not re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8"))
    ] == []
    assert len(symbols) > 20


def test_no_text_is_taken_for_a_tag_of_html() -> None:
    """`<tool>` outside of code was in the reference: no page drawn from it showed it."""
    code = re.compile(r"^ *```.*?^ *```$|`[^`]*`|<!--.*?-->|<br>|<https?:[^>]*>", re.S | re.M)
    left = {name: code.sub("", text) for name, text in TEXTS.items()}
    assert [(name, tag) for name, text in left.items() for tag in re.findall(r"<\w+>", text)] == []
    assert len(left) > 25


def test_each_message_in_the_troubleshooting_exists() -> None:
    texts = json.loads((ROOT / "locales" / "en.json").read_text(encoding="utf-8"))
    rows = re.findall(r"^\|[^|]+\|([^|]+)\|[^|]+\|$", TEXTS["docs/troubleshooting.md"], re.M)
    codes = [code for row in rows for code in re.findall(r"`(\w+)`", row)]
    assert [code for code in codes if f"problem.{code}" not in texts] == []
    assert len(codes) > 40


def numbers(text: str) -> set[str]:
    """The rules that a text cites, also by their first and last number: D-01..05."""
    cited = set()
    for letter, first, last, promise in RULE.findall(text):
        if promise:
            cited.add(promise)
            continue
        cited |= {f"{letter}-{at:02}" for at in range(int(first), int(last or first) + 1)}
    return cited


def test_rules_that_are_cited_are_listed_and_no_others() -> None:
    files = [file for name in ("app", "backend", "tests") for file in _texts(name)]
    cited = set()
    for file in files:
        if file.suffix == ".py" and file != Path(__file__):
            cited |= numbers(file.read_text(encoding="utf-8"))
    page = TEXTS["docs/rules.md"]
    listed = re.findall(r"^\| ([A-Z]-?\d+) \|", page, re.M)
    assert len(listed) == len(set(listed)) > 40
    within = set().union(
        *(
            numbers(row.partition("|")[2])
            for row in re.findall(r"^\| [A-Z]-?\d+ (\|.*)$", page, re.M)
        )
    )
    assert cited - set(listed) == set()
    assert set(listed) - cited - within == set()


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    """https://keepachangelog.com/en/1.1.0/: versions, newest first, each with kinds of change."""
    headings = re.findall(r"^(##+ .+)$", TEXTS["CHANGELOG.md"], re.M)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert headings[0] == "## [Unreleased]"
    for heading in headings:
        version = re.fullmatch(r"## \[(Unreleased|\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d)\]?", heading)
        assert version or heading.removeprefix("### ") in kinds, heading
    unreleased = headings[1 : headings.index("### Security") + 1]
    assert len(unreleased) == len(set(unreleased))


def test_no_document_and_no_text_installs_tuneboard_from_an_index() -> None:
    """It is on no index: whoever takes the name there would be installed."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("locales/*.json")]
    assert len(files) > 20
    wrong = [file.name for file in files if re.search(r"install '?tuneboard\b", file.read_text())]
    assert wrong == []


def test_each_command_in_the_documents_is_run_or_held_with_a_reason() -> None:
    """tests/backend/test_documented_commands.py runs them; the parser alone sees no run fail."""
    left = {
        f"{page}: {command}"
        for page in TEXTS
        if page not in documented_commands.RUN
        for command in documented_commands.commands_of(page)
        if not documented_commands.is_held(command)
    }
    assert left == set()
    commands = [each for page in TEXTS for each in documented_commands.commands_of(page)]
    assert len(commands) > 50
    held = documented_commands.HELD
    assert [each for each in held if not fnmatch.filter(commands, each)] == []
