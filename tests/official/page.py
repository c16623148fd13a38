"""docs/templates.md: the built-in templates, what each is compared with, and where ours differs."""

from backend.contract.models.template_names import ALIASES, BRINGS_ITS_OWN, NAMES
from backend.data.builtin_templates import BUILTIN, File
from tests.official.sources import SOURCES, WITHOUT_A_FILE

HEAD = """# Built-in templates

Written by `python -m tests.official write`; do not edit.

`template: auto` (the default) writes conversations as the model's own chat template does, and is
right for every chat model. A built-in template is for a base model that has none, or for a file of
arguments that names one. Each of those below was compared with the official template of a model
that uses it, on up to {cases} conversations: questions and answers with and without a system text,
several turns, blanks at the ends of texts; for those with tools also calls, parallel calls, every
kind of argument, results and several steps; for those with thoughts also thoughts in the last and
in earlier turns and the three values of `enable_thinking`. They write the same but for what the
last column says. The texts are in tests/official/texts.json.

Tools: *own* are listed, called and answered in the model's own format. *In words* are written into
the texts in the manner of Hermes and Qwen, since the official template has no place for them.

Other names: `orca` is ChatML as in fschat 0.2.36 (mistral-7b-openorca, orca-2); `smollm` as in
LLaMA-Factory ff6d4d1, for lack of a file of SmolLM-Instruct. All others are among the models
compared.

Tokens: a text begins with the tokenizer's begin token where the tokenizer itself puts it there. A
model that does not have the token with which a template ends answers gets its own end token
instead, with a notice.

Thoughts (`qwen3`, `qwen3_5`, `qwen3_5_nothink`, `qwen3_6`, `deepseekr1`): a row's thought is its
`reasoning_content` or what stands between `<think>` and `</think>`. Only the answer to the last
question is written with its thought; one that has none gets the empty thought, as the official
templates of Qwen 3 do. `enable_thinking` left unset does what the official template does when it
is told nothing: Qwen 3 writes no mark in the prompt, so that the model decides, and the empty
thought is learned; Qwen 3.5, 3.6 and DeepSeek-R1 open the thought in the prompt, `qwen3_5_nothink`
closes it there. `true` asks for a thought. `false` puts the empty thought into the prompt, where it
is not learned, and an answer is learned without the thought that its row has. LLaMA-Factory has no
unset: `true` is its default.
"""
AUTO = """## Names that are known and answered with "use auto"

Files of arguments name these for models that come with a template of their own; most read pictures
or sound, or are written in ways that only their own file has. The answer says to choose `auto`.
"""


def page() -> str:
    """The whole page."""
    most = max(sum(map(len, source.groups)) for source in SOURCES)
    head = "| template | other names | compared with | tools | where ours is another |"
    rows = [_row(name) for name in NAMES]
    names = ", ".join(f"`{name}`" for name in sorted(BRINGS_ITS_OWN))
    table = "\n".join([head, "|---|---|---|---|---|", *rows])
    return f"{HEAD.format(cases=most)}\n{table}\n\n{AUTO}\n{names}\n"


def _row(name: str) -> str:
    sources = [source for source in SOURCES if name in source.names]
    origins = [source.origin for source in sources] or [WITHOUT_A_FILE[name]]
    reasons = dict.fromkeys(reason for source in sources for reason in source.differs)
    others = ", ".join(f"`{alias}`" for alias, meant in ALIASES.items() if meant == name)
    tools = "own" if isinstance(BUILTIN[name], File) else "in words"
    cells = [f"`{name}`", others, "<br>".join(origins), tools, "<br>".join(reasons)]
    return f"| {' | '.join(cells)} |"
