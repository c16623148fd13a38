"""The form that maps columns to roles: the roles of a format, the entry, a free name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.i18n import name_choice, t
from app.services.data import row_tree
from app.services.data.datasets import Candidate
from app.services.data.row_tree import Element
from backend.contract.arguments.fields.stages import DRAWING, SCORED
from backend.contract.arguments.names import check_name
from backend.contract.registry import dataset_info, registry
from backend.contract.texts.problems import Problem, TuneboardError
from backend.datafiles.detect import STAGES, Proposal, entry_for
from backend.datafiles.entering import Example, kind_of

FORMATS = ("alpaca", "sharegpt", "openai")
CONTEXT = ("system", "history", "tools")
ROLES = ("prompt", "query", "response", "messages", "chosen", "rejected", *CONTEXT, "kto_tag")
# Kind of a data set -> the stages that learn from it, the most common one first.
LEARNERS = {
    "sft": ("sft", *DRAWING),
    "preference": ("dpo", "rm"),
    "kto": ("kto",),
    "text": ("pt",),
    "prompt": SCORED,
}
UNUSABLE = {"columns_missing", "dataset_formatting"}  # as datasets.register refuses them


def roles(formatting: str, ranking: bool) -> tuple[str, ...]:
    """The roles that columns can have in this format, in the order of the form."""
    chat = formatting != "alpaca"
    asked = ("messages",) if chat else ("prompt", "query")
    answered = ("chosen", "rejected") if ranking else () if chat else ("response",)
    context = ("system", "tools") if chat else CONTEXT
    return (*asked, *answered, *context, *(() if ranking else ("kto_tag",)))


def entry(
    proposal: Proposal, formatting: str, ranking: bool, columns: Mapping[str, str]
) -> dict[str, Any]:
    """The entry that the form describes: the proposed one as long as the form does not differ.

    The tags of messages stay as proposed; without them they follow from the first row.
    """
    named = {key: columns[key] for key in roles(formatting, ranking) if columns.get(key)}
    same = formatting == proposal.entry.get("formatting", "alpaca")
    if same and ranking == bool(proposal.entry.get("ranking")) and named == proposal.columns:
        return dict(proposal.entry)
    listed = same and named.get("messages") == proposal.columns.get("messages")
    tags = proposal.entry.get("tags") if listed else None
    return entry_for(named, formatting=formatting, tags=tags, ranking=ranking)


def kind(proposal: Proposal, chosen_entry: Mapping[str, Any]) -> str:
    """The kind of the data with an entry: sft, preference, kto, text or prompt."""
    return (
        proposal.kind
        if proposal.kind and chosen_entry == proposal.entry
        else kind_of(dict(chosen_entry))
    )


def example(candidate: Candidate, chosen_entry: Mapping[str, Any]) -> Example:
    """The first row as the most common stage for such data would read it with an entry."""
    return candidate.example(chosen_entry, STAGES[kind(candidate.proposal, chosen_entry)])


def is_usable(first_row: Example) -> bool:
    """Whether the entry can be registered. A single bad row does not prevent it."""
    return first_row.problem is None or first_row.problem.code not in UNUSABLE


def draw_example(first_row: Example, kind: str, lang: str) -> list[Element]:
    """The first row as trees of elements: a conversation, or its problem."""
    if first_row.conversation is None:
        reason = describe_problem(first_row.problem, lang) if first_row.problem else ""
        return [row_tree.refusal(0, reason, lang)]
    words = {"kind": t(f"sets.kind.{kind}", lang), "stages": name_learners(kind, lang)}
    learned_as = t("bring.learned_as", lang, **words)
    conversation = row_tree.conversation(0, first_row.conversation, lang)
    return [row_tree.note(learned_as), conversation]


def name_learners(kind: str, lang: str) -> str:
    """The names of the stages that learn from such data, the most common one first."""
    return ", ".join(name_choice("stage", stage, lang) for stage in LEARNERS.get(kind, ()))


def reasons(proposal: Proposal, lang: str) -> Element:
    """The proposed kind of the data and the reasons for it."""
    first = t("bring.found_nothing", lang)
    if proposal.kind:
        sure, words = round(proposal.confidence * 100), t(f"sets.kind.{proposal.kind}", lang)
        first = t("bring.found", lang, kind=words, confidence=sure)
    sentences = " ".join([first, *(describe_problem(reason, lang) for reason in proposal.reasons)])
    return row_tree.note(sentences)


def describe_problem(problem: Problem, lang: str) -> str:
    """A problem in words for the form: a file by its bare name, a missing column by its role."""
    if problem.code == "columns_missing":
        return _missing(problem, lang)
    params = dict(problem.params)
    if "file" in params:
        params["file"] = Path(str(params["file"])).name
    return Problem(code=problem.code, params=params).text(lang)


def _missing(problem: Problem, lang: str) -> str:
    name = str(problem.params.get("missing", ""))
    role = name.removeprefix("columns.")
    if role in ROLES:
        return t("bring.role_missing", lang, role=t(f"bring.role.{role}", lang))
    return t("bring.column_missing", lang, column=name)


def stage_for(kind: str, current: str) -> str:
    """The stage to train such data with: the current one where it can learn from them."""
    learners = LEARNERS.get(kind, (current,))
    return current if current in learners else learners[0]


def name_problem(name: str, dataset_dir: str, lang: str) -> str:
    """The problem of a name for a new set, in words; "" where there is none."""
    problem = check_name(name)
    if problem is not None:
        return problem.text(lang)
    known = _names(dataset_dir)
    twin = name if name in known else registry.find_twin(name, known)
    return t("bring.name_taken", lang, name=twin) if twin else ""


def _names(dataset_dir: str) -> dict[str, None]:
    try:
        return dict.fromkeys(dataset_info.entries(dataset_dir))
    except TuneboardError:
        return {}
