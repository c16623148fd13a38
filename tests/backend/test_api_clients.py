"""The API as lm-eval, LiteLLM and LangChain see it, if tests/install_api_clients.sh has them."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.serving.engine import Engine
from backend.serving.service import Service
from tests.backend.conftest import make_teacher
from tests.backend.test_serve_process import api_values, listening
from tests.failures.conftest import until

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".api_clients"
PYTHON = CLIENTS / "bin" / "python"
pytestmark = pytest.mark.skipif(
    not (CLIENTS / "installed.txt").exists(),  # written last
    reason="no clients of the API here: tests/install_api_clients.sh installs them",
)
TASK = """
task: tiny
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{label}}"
target_delimiter: " "
metric_list: [{metric: acc}]
"""
WRITING = """
task: writing
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{label}}"
generation_kwargs: {until: ["e"], max_gen_toks: 12, do_sample: false, temperature: 0}
metric_list: [{metric: exact_match}]
"""
ROWS = [
    {"question": f"Question {number}: who are you?", "choices": choices, "label": 0}
    for number, choices in enumerate(
        [["I am Tuneboard", "Paris"], ["hello", "user user user"], ["a", "你好，世界！"]]
    )
]


@pytest.fixture(scope="module")
def folder(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_teacher(tiny_model_dir, tmp_path_factory.mktemp("models") / "sharp")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    values = api_values(model_name_or_path=str(folder))
    service = Service("tiny", lambda: Engine.load(values))
    with listening(service) as made:
        until(lambda: service.state == "ready", 60)
        yield f"{made}/v1"


def run(program: str, **names: str) -> Any:
    """What a program for the clients' own Python prints as JSON in its last line."""
    environment = {**os.environ, **names, "PYTHONPATH": "", "OPENAI_API_KEY": "none"}
    done = subprocess.run(
        [str(PYTHON), "-c", program], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


EVALUATE = """
import json, os
import lm_eval
from lm_eval.tasks import TaskManager
folder, address = os.environ["FOLDER"], os.environ["ADDRESS"]
tasks = TaskManager(include_path=os.environ["TASKS"], include_defaults=False)
server = f"model=tiny,base_url={address}/completions,tokenizer={folder},num_concurrent=2"
answers = {}
for name, model, arguments in (
    ("server", "local-completions", server),
    ("plain", "hf", f"pretrained={folder},device=cpu,dtype=float32"),
):
    done = lm_eval.simple_evaluate(
        model=model, model_args=arguments, tasks=["tiny", "writing"], task_manager=tasks,
        batch_size=4, log_samples=True, bootstrap_iters=0,
    )
    answers[name] = {
        task: [sample["resps"] for sample in samples] for task, samples in done["samples"].items()
    }
print(json.dumps(answers))
"""


def test_lm_eval_reads_what_plain_transformers_say(
    address: str, folder: Path, tmp_path: Path
) -> None:
    """Log-likelihoods of answers, and answers up to a stop text, by its own two backends."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    for name, task in (("tiny", TASK), ("writing", WRITING)):
        (tmp_path / f"{name}.yaml").write_text(task.replace("ROWS", str(rows)), encoding="utf-8")
    answers = run(EVALUATE, ADDRESS=address, FOLDER=str(folder), TASKS=str(tmp_path))
    server, plain = answers["server"], answers["plain"]
    assert server["writing"] == plain["writing"]
    seen = 0
    for ours, theirs in zip(server["tiny"], plain["tiny"], strict=True):
        for ((our_sum, our_greedy),), ((their_sum, their_greedy),) in zip(
            ours, theirs, strict=True
        ):
            assert float(our_sum) == pytest.approx(float(their_sum), abs=1e-3)
            assert str(our_greedy) == str(their_greedy)
            seen += 1
    assert seen == 2 * len(ROWS)


LITELLM = """
import json, os
import litellm
litellm.telemetry = False
asked = dict(
    model="openai/tiny", api_base=os.environ["ADDRESS"], api_key="none", max_tokens=200, seed=3,
    messages=[{"role": "user", "content": "Who are you?"}],
)
whole = litellm.completion(**asked)
stream = list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 99, "minimum": 0}},
          "required": ["age"], "additionalProperties": False}
form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
shaped = litellm.completion(**asked, response_format=form)
tool = {"type": "function", "function": {"name": "birthday", "parameters": schema}}
called = litellm.completion(
    **asked, tools=[tool], tool_choice="required", parallel_tool_calls=False
)
scored = litellm.completion(**asked, logprobs=True, top_logprobs=2)
text = litellm.text_completion(
    model="text-completion-openai/tiny", prompt="Paris", max_tokens=4, temperature=0,
    api_base=os.environ["ADDRESS"], api_key="none",
)
try:
    litellm.completion(**{**asked, "model": "openai/nobody"})
except litellm.NotFoundError as error:
    refusal = str(error)
print(json.dumps({
    "whole": whole.choices[0].message.content,
    "stream": "".join(c.choices[0].delta.content or "" for c in stream if c.choices),
    "shaped": shaped.choices[0].message.content,
    "called": called.choices[0].message.tool_calls[0].function.arguments,
    "scored": len(scored.choices[0].logprobs.content),
    "text": text.choices[0].text,
    "refusal": refusal,
}))
"""


def test_litellm(address: str) -> None:
    answers = run(LITELLM, ADDRESS=address)
    assert answers["whole"] == answers["stream"] != ""
    assert set(json.loads(answers["shaped"])) == set(json.loads(answers["called"])) == {"age"}
    assert answers["scored"] > 10
    assert answers["text"]
    assert "nobody" in answers["refusal"]


LANGCHAIN = """
import json, os
from typing import Literal
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field

asked = dict(model="tiny", base_url=os.environ["ADDRESS"], api_key="none", seed=3, max_tokens=200)
chat = ChatOpenAI(**asked)
whole = chat.invoke("Who are you?")
stream = "".join(chunk.content for chunk in chat.stream("Who are you?"))

class Animal(BaseModel):
    kind: Literal["cat", "dog"]

class Birthday(BaseModel):
    age: int = Field(ge=0, le=99)

shaped = {
    method: chat.with_structured_output(Animal, method=method).invoke("What is it?").kind
    for method in ("json_schema", "function_calling")
}
bound = chat.bind_tools([Birthday], tool_choice="any", parallel_tool_calls=False, strict=True)
question = HumanMessage("How old?")
called = bound.invoke([question])
call = called.tool_calls[0]
answered = chat.invoke([question, called, ToolMessage("done", tool_call_id=call["id"])])
scored = chat.bind(logprobs=True).invoke("Who are you?").response_metadata["logprobs"]["content"]
plain = {name: each for name, each in asked.items() if name != "seed"}
items = ChatOpenAI(**plain, temperature=0, use_responses_api=True)
responses = items.invoke("Who are you?").text
print(json.dumps({
    "whole": whole.content, "stream": stream, "shaped": shaped, "call": call["args"],
    "answered": answered.content, "scored": len(scored),
    "text": OpenAI(model="tiny", base_url=os.environ["ADDRESS"], api_key="none").invoke("Paris"),
    "responses": str(responses), "usage": whole.usage_metadata["total_tokens"],
}))
"""


def test_langchain(address: str) -> None:
    answers = run(LANGCHAIN, ADDRESS=address)
    assert answers["whole"] == answers["stream"] != ""
    assert set(answers["shaped"].values()) <= {"cat", "dog"}
    assert 0 <= answers["call"]["age"] <= 99
    assert answers["answered"]
    assert answers["scored"] > 10
    assert answers["text"]
    assert answers["responses"]
    assert answers["usage"] > 0
