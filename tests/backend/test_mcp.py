"""`tuneboard mcp` is driven by the client of the package mcp, over standard input and output."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent, Tool

from backend.contract.launching import launch
from backend.contract.runs import run_folder
from tests.documented_commands import ROOT

MODEL = "saves/models/tiny"
SECRET = "hf_0123456789abcdefghij"
TINY = {
    "model_name_or_path": MODEL,
    "dataset": "identity",
    "cutoff_len": 64,
    "logging_steps": 1,
    "use_cpu": True,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
}
LONG = {**TINY, "max_steps": 100_000, "output_dir": "saves/tiny/lora/long"}
WORDS = ["-P", "-m", "backend", "mcp"]


class Agent:
    """A session with the server; `call` gives the structured answer of a tool."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session

    async def call(self, name: str, **question: Any) -> dict[str, Any]:
        result = await self.ask(name, **question)
        assert not result.is_error, text_of(result)
        assert json.loads(text_of(result)) == result.structured_content
        content: dict[str, Any] = result.structured_content
        return content

    async def refused(self, name: str, **question: Any) -> str:
        result = await self.ask(name, **question)
        assert result.is_error
        return text_of(result)

    async def ask(self, name: str, **question: Any) -> CallToolResult:
        result = await self.session.call_tool(name, question)
        assert isinstance(result, CallToolResult)
        return result

    async def follow(self, run: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Everything of a run from its beginning, until a piece of news says enough."""
        log, rows, offsets = [], [], {"log_offset": 0, "metrics_offset": 0}
        while True:
            news = await self.call("follow_run", run=run, wait_seconds=20, limit=100, **offsets)
            log += news["log"]["lines"]
            rows += news["metrics"]["rows"]
            offsets = {f"{name}_offset": news[name]["offset"] for name in ("log", "metrics")}
            waiting = news["log"]["more"] or news["metrics"]["more"]
            if until(news) and not waiting:
                return {"run": news["run"], "log": log, "rows": rows}


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def has_ended(news: dict[str, Any]) -> bool:
    return bool(news["run"]["ended"])


def environment(home: Path) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {"TUNEBOARD_HOME": str(home), "PYTHONPATH": str(ROOT), "HF_TOKEN": SECRET, **threads}


@asynccontextmanager
async def connect(home: Path, folder: Path | None = None) -> AsyncIterator[Agent]:
    """A client that starts the server in a folder, by default the working folder."""
    server = StdioServerParameters(
        command=sys.executable, args=WORDS, env=environment(home), cwd=folder or home
    )
    async with (
        stdio_client(server) as (incoming, outgoing),
        ClientSession(incoming, outgoing) as session,
    ):
        await session.initialize()
        yield Agent(session)


def drive(way: Callable[[Path], Awaitable[None]], home: Path) -> None:
    anyio.run(way, home)


@pytest.fixture
def home(tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a tiny model; its runs are ended with the test."""
    monkeypatch.setenv("TUNEBOARD_HOME", str(tmp_path))
    shutil.copytree(tiny_model_dir, tmp_path / MODEL)
    return tmp_path


@pytest.fixture(autouse=True)
def _stopped(home: Path) -> Any:
    yield
    for view in launch.list_going():
        launch.stop(view.path, 0)


async def the_whole_way(home: Path) -> None:
    async with connect(home) as agent:
        models = (await agent.call("list_models"))["models"]
        assert [(each["path"], each["source"]) for each in models] == [(MODEL, "local")]
        sets = {each["name"]: each for each in (await agent.call("list_datasets"))["datasets"]}
        assert (sets["identity"]["kind"], sets["identity"]["problem"]) == ("sft", "")
        assert sets["identity"]["rows"] > 10
        assert (await agent.call("list_runs"))["total"] == 0

        wrong = {**TINY, "learning_rat": 1e-3, "lora_rank": "many"}
        judgement = await agent.call("check_arguments", arguments=wrong)
        assert not judgement["good"]
        problems = {each["field"]: each["text"] for each in judgement["problems"]}
        assert "learning_rate" in problems["learning_rat"]
        assert "many" in problems["lora_rank"]

        short = {**TINY, "max_steps": 3, "output_dir": "saves/tiny/lora/short"}
        plan = await agent.call("plan_training", arguments=short)
        assert (plan["good"], plan["unknown"]) == (True, "")
        assert plan["memory"]["total"] > sum(plan["memory"]["parts"].values()) * 0.9 > 0
        assert plan["course"]["steps"] == 3
        assert plan["command"].startswith("tuneboard train --model_name_or_path")
        assert "--max_steps 3" in plan["command"]

        started = await agent.call("start_run", arguments=short)
        assert started["command"] == plan["command"]
        first = started["run"]["run"]
        assert first == "saves/tiny/lora/short"
        done = await agent.follow(first, has_ended)
        assert done["run"]["state"] == "SUCCEEDED", done["log"]
        assert [row["step"] for row in done["rows"] if "loss" in row] == [1, 2, 3]
        assert len(done["log"]) > 3

        second = (await agent.call("start_run", arguments=LONG))["run"]["run"]
        await agent.follow(second, lambda news: bool(news["metrics"]["rows"]))
        assert "run_in_way" not in (text := await agent.refused("start_run", arguments=short))
        assert second in text
        assert (await agent.call("stop_run", run="long"))["asked"]
        stopped = await agent.follow(second, has_ended)
        assert stopped["run"]["state"] == "STOPPED"
        assert not (await agent.call("stop_run", run=second))["asked"]

        comparison = await agent.call("compare_runs", runs=[first, second])
        assert comparison["differing_arguments"] == {"max_steps": ["3", "100000"]}
        losses = [done["rows"], stopped["rows"]]
        newest = [[row["loss"] for row in rows if "loss" in row][-1] for rows in losses]
        assert [each["loss"] for each in comparison["runs"]] == newest
        assert "train_loss" in comparison["runs"][0]["scores"]
        assert (await agent.call("list_runs", going=True))["runs"] == []
        models = (await agent.call("list_models"))["models"]
        assert {"saves/tiny/lora/short", MODEL} <= {each["path"] for each in models}


def test_an_agent_lists_checks_plans_starts_follows_stops_and_compares(home: Path) -> None:
    drive(the_whole_way, home)


def is_typed(tool: Tool) -> bool:
    """Whether a tool says what it takes, what it answers, and what it does."""
    inputs = tool.input_schema
    described = ["description" in each or "$ref" in each for each in inputs["properties"].values()]
    hints = tool.annotations
    return bool(
        all(described)
        and inputs["additionalProperties"] is False
        and tool.description
        and tool.output_schema
        and tool.output_schema["type"] == "object"
        and hints
        and hints.read_only_hint is not None
        and hints.destructive_hint is not None
    )


def reads(tool: Tool) -> bool:
    return bool(tool.annotations and tool.annotations.read_only_hint)


async def the_tools(home: Path) -> None:
    async with connect(home) as agent:
        tools = (await agent.session.list_tools()).tools
        assert len(tools) == 10
        assert [tool.name for tool in tools if not is_typed(tool)] == []
        changing = {tool.name for tool in tools if not reads(tool)}
        assert changing == {"start_run", "stop_run"}


def test_each_tool_has_types_descriptions_and_hints(home: Path) -> None:
    drive(the_tools, home)


async def only_questions(home: Path) -> None:
    before = sorted(home.rglob("*"))
    async with connect(home) as agent:
        sets = (await agent.call("list_datasets"))["datasets"]
        judgement = await agent.call("check_arguments", arguments=TINY)
        assert sorted(home.rglob("*")) == before
        plan = await agent.call("plan_training", arguments=TINY)
    assert "identity" in {each["name"] for each in sets}
    assert (judgement["problems"], judgement["good"]) == ([], True)
    assert "dataset_dir" not in judgement["command"]
    assert (plan["unknown"], plan["course"]["rows"] > 10) == ("", True)
    assert not (home / "data").exists()


def test_questions_write_nothing_where_the_demo_data_is_missing(home: Path) -> None:
    """check_arguments promises it, and made data/ and saves/ nevertheless."""
    drive(only_questions, home)


async def odd_inputs(home: Path) -> None:
    async with connect(home) as agent:
        assert "nosuch" in await agent.refused("follow_run", run="nosuch")
        assert "/etc" in await agent.refused("stop_run", run="/etc")
        assert "run" in await agent.refused("stop_run", run="../../..")
        text = await agent.refused("follow_run", run="x", ofset=3)
        assert text.startswith("ofset: ")
        assert "log_offset" in text
        assert (await agent.refused("follow_run")).startswith("run: ")
        text = await agent.refused("follow_run", run="x", log_offset=-2, limit=0)
        assert [line.split(":")[0] for line in text.splitlines()] == ["log_offset", "limit"]
        text = await agent.refused("compare_runs", runs=["one"])
        assert text.startswith("runs: ")
        with pytest.raises(MCPError, match="no_such_tool"):
            await agent.ask("no_such_tool")
        assert "missing" in await agent.refused("list_datasets", dataset_dir="missing")
        secret = {**TINY, "hf_hub_token": SECRET}
        text = await agent.refused("start_run", arguments=secret)
        assert "HF_TOKEN" in text
        assert SECRET not in text
        judgement = await agent.call("check_arguments", arguments=secret)
        assert SECRET not in json.dumps(judgement)
        assert [each["field"] for each in judgement["problems"]] == ["hf_hub_token"]
        nowhere = {**TINY, "model_name_or_path": "/nowhere/model"}
        judgement = await agent.call("check_arguments", arguments=json.dumps(nowhere))
        assert [each["field"] for each in judgement["problems"]] == ["model_name_or_path"]
        assert "arguments" in await agent.refused("check_arguments", arguments="lora_rank=8")
        rows = await agent.call("list_arguments", search="learning rate", limit=5)
        assert rows["arguments"][0]["name"] == "learning_rate"
        assert (await agent.call("list_arguments", task="export"))["total"] > 5
    assert run_folder.runs(home / "saves") == []


def test_odd_inputs_are_answered_in_words_that_name_the_field(home: Path) -> None:
    drive(odd_inputs, home)


async def two_clients(home: Path) -> None:
    """Two starts at once: one is refused, whichever it is; and the end of its server ends no
    run. Secrets in the log are masked."""
    async with connect(home) as one, connect(home) as other:
        results: list[CallToolResult] = []

        async def start(agent: Agent, name: str) -> None:
            arguments = {**LONG, "output_dir": f"saves/tiny/lora/{name}"}
            results.append(await agent.ask("start_run", arguments=arguments))

        async with anyio.create_task_group() as group:
            group.start_soon(start, one, "left")
            group.start_soon(start, other, "right")
        assert sorted(result.is_error for result in results) == [False, True]
        (refused,) = (text_of(each) for each in results if each.is_error)
        started = next(each for each in results if not each.is_error).structured_content
        run = started["run"]["run"]
        assert run in refused
    async with connect(home) as agent:
        news = await agent.follow(run, lambda news: bool(news["metrics"]["rows"]))
        assert news["run"]["state"] == "RUNNING"
        with (home / run / "log.txt").open("a") as log:
            log.write(f"\nthe token is {SECRET}\n")
        size = (home / run / "log.txt").stat().st_size
        piece = await agent.call("follow_run", run=run, log_offset=size - 10)
        assert piece["log"]["offset"] >= size
        everything = await agent.follow(run, lambda news: True)
        assert any("the token is" in line for line in everything["log"])
        assert SECRET not in json.dumps(everything)
        piece = await agent.call("follow_run", run=run, log_offset=10**12, limit=1)
        assert (piece["log"]["anew"], len(piece["log"]["lines"])) == (True, 1)
        assert piece["log"]["lines"] == everything["log"][:1]
        await agent.call("stop_run", run=run)
        assert (await agent.follow(run, has_ended))["run"]["state"] == "STOPPED"


def test_of_two_starts_at_once_one_runs_and_outlives_both_servers(home: Path) -> None:
    drive(two_clients, home)


def message(number: int, method: str, **params: Any) -> str:
    row = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(row) + "\n"


def test_nothing_but_the_protocol_is_written_to_standard_output(home: Path) -> None:
    """Also while a start writes its notices, which the command prints."""
    client = {"name": "raw", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    call = {"name": "check_arguments", "arguments": {"arguments": {**TINY, "warmup_steps": 0.1}}}
    words = [
        message(1, "initialize", **hello),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n",
        "no JSON\n",
        message(2, "tools/call", **call),
    ]
    server = subprocess.Popen(
        [sys.executable, *WORDS],
        env={**os.environ, **environment(home)},
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("".join(words))
    server.stdin.flush()
    answers: dict[Any, Any] = {}
    while 2 not in answers:
        row = json.loads(server.stdout.readline())
        assert row["jsonrpc"] == "2.0"
        answers[row.get("id")] = row
    rest, errors = server.communicate(timeout=60)
    assert (rest, server.returncode) == ("", 0)
    assert str(home) in errors
    assert "Traceback" not in errors
    content = answers[2]["result"]["structuredContent"]
    assert content["good"]


@pytest.mark.parametrize("client", ["claude", "vscode"])
def test_the_printed_configuration_starts_the_server(home: Path, client: str) -> None:
    """From any folder, as clients start their servers anywhere."""
    argv = [sys.executable, *WORDS, "--config", client]
    env = {**os.environ, **environment(home)}
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, check=True)
    (servers,) = (
        value for name, value in json.loads(done.stdout).items() if name.lower().endswith("servers")
    )
    assert servers["tuneboard"]["env"] == {"TUNEBOARD_HOME": str(home)}
    assert servers["tuneboard"]["args"][-1] == "mcp"
    assert Path(servers["tuneboard"]["command"]).is_absolute()

    async def way(_: Path) -> None:
        async with connect(home, Path("/")) as agent:
            models = (await agent.call("list_models"))["models"]
            assert [each["path"] for each in models] == [MODEL]

    drive(partial(way), home)
