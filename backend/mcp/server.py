"""Answer the calls of an MCP client until it closes standard input."""

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

import anyio
from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import BaseModel, ValidationError

from backend.contract.system.warm_child import close_all
from backend.contract.texts.log_text import mask
from backend.contract.texts.problems import Problem, TuneboardError
from backend.mcp.following import compare_runs, follow_run, stop_run
from backend.mcp.listing import list_arguments, list_datasets, list_models, list_runs
from backend.mcp.planning import check_arguments, plan_training, start_run
from backend.mcp.tool import Input, Tool, to_json, to_text

INSTRUCTIONS = """Tuneboard fine-tunes language models on this machine.
A usual way: list_models and list_datasets; list_arguments for what can be set; plan_training, which
checks the arguments and says memory, time and command; start_run; follow_run until the run has
ended; compare_runs. A run goes on when this server ends. Ask the person before a start: a run can
take hours and all of the memory."""
# start_run may replace an ended run (overwrite_output_dir moves it to the trash).
TOOLS = (
    Tool("List models", list_models),
    Tool("List data sets", list_datasets),
    Tool("List runs", list_runs),
    Tool("List arguments", list_arguments),
    Tool("Check arguments", check_arguments),
    Tool("Plan a training", plan_training),
    Tool("Start a run", start_run, reads=False, destroys=True, open_world=True),
    Tool("Follow a run", follow_run),
    Tool("Stop a run", stop_run, reads=False, destroys=True, repeatable=True),
    Tool("Compare runs", compare_runs),
)
BY_NAME = {tool.name: tool for tool in TOOLS}

_logger = logging.getLogger(__name__)


def serve(version: str) -> None:
    """Serve the tools over standard input and output. While it serves, file descriptor 1 is
    standard error, so that nothing but the protocol reaches the client."""
    server = Server(
        "tuneboard",
        version=version,
        title="Tuneboard",
        instructions=INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )

    async def run() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    try:
        anyio.run(run)
    except KeyboardInterrupt:
        pass
    finally:
        close_all()  # a call that waits for an estimate would keep this process


async def _list_tools(
    _: ServerRequestContext[Any], __: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(tools=[tool.describe() for tool in TOOLS])


async def _call_tool(_: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
    """The answer of a tool; what went wrong is said to the model in words, as its answer."""
    tool = BY_NAME.get(params.name)
    if tool is None:
        known = ", ".join(BY_NAME)
        raise MCPError(INVALID_PARAMS, f"There is no tool {params.name}; there are {known}.")
    try:
        content = to_json(await _run(tool, tool.input.model_validate(params.arguments or {})))
    except ValidationError as error:
        return _refuse(tool.describe_errors(error))
    except TuneboardError as error:
        return _refuse(_describe(error.problems))
    except OSError as error:
        return _refuse(f"{error.filename or tool.name}: {error.strerror or error}")
    except Exception:  # the outermost edge of a call
        _logger.exception("%s failed", tool.name)
        return _refuse(f"{tool.name} failed; the reason is on this server's standard error.")
    return CallToolResult(content=[_text(to_text(content))], structured_content=content)


async def _run(tool: Tool, question: Input) -> BaseModel:
    run: Callable[[Input], Any] = tool.run
    if inspect.iscoroutinefunction(run):
        answer: BaseModel = await run(question)
        return answer
    return await to_thread.run_sync(run, question, abandon_on_cancel=True)


def _describe(problems: Sequence[Problem]) -> str:
    """Each problem on a line that begins with its field."""
    texts = ((problem.field, problem.text()) for problem in problems)
    return "\n".join(text if field in text else f"{field}: {text}" for field, text in texts)


def _refuse(text: str) -> CallToolResult:
    return CallToolResult(content=[_text(mask(text))], is_error=True)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)
