"""What stands in a row's messages beside role and content reaches the template that reads it."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.cli.commands import dispatch
from backend.contract.arguments import arguments
from backend.contract.arguments.arguments import resolve
from backend.contract.arguments.typed import Arguments
from backend.data import inspection, prepare, templates, tokens
from backend.data.rendering import Template
from backend.datafiles.values import number
from backend.model import load
from backend.running.report import Report
from backend.serving.request import parse
from tests.backend.conftest import make_tokenizer, write_dataset
from tests.backend.test_shipped_templates import TRL

THOUGHT, ANSWER = "Add the two.", "4"
ROW = [
    {"role": "user", "content": "1 + 3?"},
    {"role": "assistant", "reasoning_content": THOUGHT, "content": ANSWER},
]
LEARNED = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}<|im_end|>"
# Reads what the official templates of Gemma 4 and Mistral read of calls and results, and more.
ALL_FIELDS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}{{ ' ' + m.name if m.name }}"
    "{{ ' for ' + m.tool_call_id if m.tool_call_id }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.id }}: {{ c.function.name }}"
    "{{ c.function.arguments | tojson }}{% endfor %}"
    "{{ ' [' + m.mood + ']' if m.mood }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def model(tmp_path: Path, tiny_model_dir: Path) -> Path:
    """The tiny model with Qwen3's template."""
    return with_template(tmp_path, tiny_model_dir, TRL["qwen3"])


def with_template(tmp_path: Path, tiny_model_dir: Path, jinja: str) -> Path:
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    for path in tiny_model_dir.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    make_tokenizer(template=jinja).save_pretrained(folder)
    return folder


def words(model: Path, home: Path) -> list[str]:
    options = {"dataset": "x", "model_name_or_path": model, "dataset_dir": home / "data"}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def learned_text(line: dict[str, Any], model: Path) -> str:
    """What is learned of a line of `tuneboard data tokens`."""
    tokenizer = load.tokenizer(resolve({"model_name_or_path": str(model)}))
    return str(tokenizer.decode([each for each in line["labels"] if each != tokens.IGNORED]))


def rename_fields(row: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    return [{names.get(key, key): value for key, value in each.items()} for each in row]


SHARED = [
    {"from": "human", "value": "1 + 3?"},
    {"from": "gpt", "value": ANSWER, "reasoning_content": THOUGHT},
]
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": ({"messages": ROW}, {"formatting": "openai"}),
    "not said": ({"messages": ROW}, {}),
    "sharegpt": ({"conversations": SHARED}, {"formatting": "sharegpt"}),
    "own tags": (
        {"talk": rename_fields(SHARED, **{"from": "who", "value": "says"})},
        {
            "formatting": "sharegpt",
            "columns": {"messages": "talk"},
            "tags": {
                "role_tag": "who",
                "content_tag": "says",
                "user_tag": "human",
                "assistant_tag": "gpt",
            },
        },
    ),
    "prompt and completion": ({"prompt": ROW[:1], "completion": ROW[1:]}, {}),
    "thinking": ({"messages": rename_fields(ROW, reasoning_content="thinking")}, {}),
    "reasoning": ({"messages": rename_fields(ROW, reasoning_content="reasoning")}, {}),
    "null beside it": (
        {"messages": [ROW[0], {**ROW[1], "thinking": None, "tool_calls": None, "name": None}]},
        {},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_thought_is_learned_from_each_layout(name: str, workspace: Path, model: Path) -> None:
    """It was learned as an empty thought and "4"."""
    row, entry = LAYOUTS[name]
    write_dataset(workspace, "x", [row], **entry)
    (line,) = inspection.inspect_tokens(words(model, workspace))
    assert learned_text(line, model) == LEARNED


def test_a_thought_is_learned_from_parquet(workspace: Path, model: Path) -> None:
    """A struct column has every key in every message, null where a row did not have it."""
    import pyarrow as pa
    from pyarrow import parquet

    path = write_dataset(workspace, "x", []).with_suffix(".parquet")
    parquet.write_table(pa.Table.from_pylist([{"messages": ROW}]), path)
    registry = workspace / "data" / "dataset_info.json"
    registry.write_text(json.dumps({"x": {"file_name": path.name}}))
    (line,) = inspection.inspect_tokens(words(model, workspace))
    assert learned_text(line, model) == LEARNED
    assert "reasoning_content" not in line["messages"][0]


def test_both_sides_of_a_preference_have_theirs(workspace: Path, model: Path) -> None:
    """Answers that differ in their thoughts alone are two answers; other fields do not count."""
    worse = {**ROW[1], "reasoning_content": "Guess."}
    asked = [{**ROW[0], "id": 1}], [{**ROW[0], "id": 2}]
    rows = [
        {"chosen": [*asked[0], ROW[1]], "rejected": [*asked[1], worse]},
        {"chosen": [*asked[0], ROW[1]], "rejected": [*asked[1], {**ROW[1], "id": 3}]},
    ]
    write_dataset(workspace, "x", rows, ranking=True)
    line, refused = inspection.inspect_tokens([*words(model, workspace), "--stage", "dpo"])
    assert "Guess." in line["rejected_text"]
    assert THOUGHT in line["chosen_text"]
    assert refused["refused"]["code"] == "row_same_answers"


def test_all_fields_that_a_template_reads_are_kept(
    workspace: Path, tmp_path: Path, tiny_model_dir: Path
) -> None:
    model = with_template(tmp_path, tiny_model_dir, ALL_FIELDS)
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    rows = [
        {"role": "user", "content": "time?", "name": "ann", "mood": "calm"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "name": "clock", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Noon.", "mood": "sure"},
    ]
    write_dataset(workspace, "x", [{"messages": rows}])
    (line,) = inspection.inspect_tokens(words(model, workspace))
    assert "user ann\ntime? [calm]<|im_end|>" in line["text"]
    assert "tool clock for c1\n12:00<|im_end|>" in line["text"]
    assert learned_text(line, model) == "c1: clock{}<|im_end|>Noon. [sure]<|im_end|>"


DIGITS = '{"price": 1.50, "n": 1e5, "list": [-0.10, 3]}'
FUNCTION = {"name": "buy", "parameters": {"type": "object", "properties": {}, "minimum": 1.50}}


def test_older_function_calls_are_learned_with_their_digits(workspace: Path, model: Path) -> None:
    """`data check` took such rows for prompts, and nothing of the calls was learned; JSON text
    became 1.5 and 100000.0, and so did objects, which transformers 5's tojson writes."""
    call = {"role": "assistant", "content": None, "function_call": {"name": "buy"}}
    turns = [ROW[0], call, {"role": "function", "name": "buy", "content": "ok"}, ROW[1]]
    for functions, tools in ((json.dumps(DIGITS), "functions"), (DIGITS, "tools")):
        row = json.dumps({"messages": turns, tools: [FUNCTION]})
        row = row.replace('"name": "buy"}}', f'"name": "buy", "arguments": {functions}}}}}')
        path = write_dataset(workspace, "x", [])
        path.write_text(f"[{row.replace('1.5}', '1.50}')}]")
        first, last = inspection.inspect_tokens(words(model, workspace))
        assert '"minimum": 1.50}' in first["text"]
        assert learned_text(first, model) == (
            "<think>\n\n</think>\n\n<tool_call>\n"
            f'{{"name": "buy", "arguments": {DIGITS}}}\n</tool_call><|im_end|>'
        )
        assert learned_text(last, model) == LEARNED
        assert "<tool_response>\nok\n</tool_response>" in last["text"]


def test_results_are_learned_in_the_order_of_their_calls(workspace: Path, model: Path) -> None:
    """A row as people log it, with results as they came in; their ids tell which is whose, and
    this template does not write them. A served request is asked in the same way."""
    calls = [
        {"id": each, "type": "function", "function": {"name": "time", "arguments": {"city": city}}}
        for each, city in (("a", "Rome"), ("b", "Oslo"))
    ]
    results = [
        {"role": "tool", "tool_call_id": each, "content": text}
        for each, text in (("b", "late in Oslo"), ("a", "early in Rome"))
    ]
    turns = [ROW[0], {"role": "assistant", "content": "", "tool_calls": calls}, *results, ROW[1]]
    write_dataset(workspace, "x", [{"messages": turns, "tools": [FUNCTION]}])
    _, last = inspection.inspect_tokens(words(model, workspace))
    assert last["text"].index("early in Rome") < last["text"].index("late in Oslo")


def test_every_template_that_writes_numbers_writes_their_digits() -> None:
    """Whatever it makes of an argument: JSON, XML, a literal of its own."""
    arguments = json.loads(DIGITS, parse_float=number)
    call = {"type": "function", "id": "c00000001", "function": {"name": "buy"}}
    call["function"] = {"name": "buy", "arguments": arguments}
    talk = [ROW[0], {"role": "assistant", "content": "", "tool_calls": [call]}]
    tokenizer = make_tokenizer()
    tokenizer.bos_token = "<|endoftext|>"
    written = 0
    for name, jinja in TRL.items():
        template = Template(tokenizer, jinja, Arguments())
        if not template.knows_calls:
            continue
        text = template.render(talk)
        assert [digits for digits in ("1e5", "1.50", "-0.10") if digits not in text] == [], name
        assert [digits for digits in ("100000", "e+214") if digits in text] == [], name
        written += 1
    assert written > 15


def test_fields_that_the_template_ignores_are_named(
    workspace: Path, tmp_path: Path, tiny_model_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One notice, each field with its number of rows; what is read, null or our own is not."""
    model = with_template(tmp_path, tiny_model_dir, TRL["qwen2_5"])
    plain = [ROW[0], {"role": "assistant", "content": ANSWER, "train": True, "refusal": None}]
    rows = [ROW, ROW, [{**ROW[0], "name": "ann"}, plain[1]], plain]
    write_dataset(workspace, "x", [{"messages": row} for row in rows])
    dispatch(["data", "tokens", *words(model, workspace), "--rows", "0:4"])
    notices = [line for line in capsys.readouterr().err.splitlines() if "does not read" in line]
    assert len(notices) == 1
    assert notices[0].endswith("in how many of 4 rows): reasoning_content (2), name (1).")


def test_half_a_character_in_a_thought_is_refused(workspace: Path, model: Path) -> None:
    path = write_dataset(workspace, "x", [])
    broken = json.dumps([{"messages": ROW}]).replace(THOUGHT, "\\ud800")
    path.write_text(broken)
    (line,) = inspection.inspect_tokens(words(model, workspace))
    assert line["refused"]["code"] == "row_bad_text"


@pytest.mark.parametrize("field", ["reasoning_content", "thinking", "reasoning"])
def test_a_request_s_thoughts_are_in_the_prompt(field: str, model: Path) -> None:
    """Of a turn that is still going on (a tool was called) Qwen3 sees its own thought."""
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    messages = [
        ROW[0],
        {"role": "assistant", "content": None, field: THOUGHT, "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_call_id": "c1"},
    ]
    request = parse(json.dumps({"messages": messages}).encode())
    plain = [each.to_template() for each in request.messages]
    values, _ = arguments.parse({"model_name_or_path": str(model)}, "api")
    tokenizer = load.tokenizer(resolve(values))
    template = templates.load(resolve(values), tokenizer)
    assert f"<think>\n{THOUGHT}\n</think>" in tokenizer.decode(template.encode_prompt(plain))
    assert plain[2]["tool_call_id"] == "c1"
    assert plain[1]["tool_calls"][0]["id"] == "c1"


def test_the_label_of_an_evaluation_is_what_the_model_would_say(
    workspace: Path, model: Path
) -> None:
    """As it is learned, thought and call included; without the token that ends it."""
    call = {"type": "function", "function": {"name": "clock", "arguments": {"z": 1}}}
    rows = [ROW, [ROW[0], {"role": "assistant", "content": "", "tool_calls": [call]}], ROW[:1]]
    rows[2] = [*ROW[:1], {**ROW[1], "train": False}]
    write_dataset(workspace, "x", [{"messages": row} for row in rows])
    values, problems = arguments.from_argv(["--eval_dataset", *words(model, workspace)[1:]], "eval")
    assert not problems
    tokenizer = load.tokenizer(resolve(values))
    template = templates.load(resolve(values), tokenizer)
    labels = [row.label for row in prepare.prepare_prompts(resolve(values), tokenizer, template)]
    thought = LEARNED.removesuffix("<|im_end|>")
    assert labels[0] == labels[2] == thought
    assert labels[1] == (
        '<think>\n\n</think>\n\n<tool_call>\n{"name": "clock", "arguments": {"z": 1}}\n</tool_call>'
    )


def test_rows_that_become_several_examples_are_said(workspace: Path, model: Path) -> None:
    """Thoughts of earlier turns are left out of later prompts: one example an answer."""
    row = [*ROW, {"role": "user", "content": "And?"}, {"role": "assistant", "content": "No."}]
    write_dataset(workspace, "x", [{"messages": row}, {"messages": ROW}])
    values, problems = arguments.from_argv(words(model, workspace), "train")
    assert not problems
    tokenizer = load.tokenizer(resolve(values))
    folder = workspace / "saves" / "run"
    folder.mkdir()
    report = Report(folder)
    template = templates.load(resolve(values), tokenizer)
    assert len(prepare.prepare_training(resolve(values), tokenizer, template, report).train) == 3
    notices = json.loads((folder / "status.json").read_text())["notices"]
    assert {notice["code"]: notice["params"] for notice in notices} == {
        "rows_in_examples": {"rows": 2, "examples": 3}
    }
