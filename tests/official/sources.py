"""Which official template each named one is compared with, and where ours is another on purpose."""

from dataclasses import dataclass, field
from typing import Any

from tests.official.cases import PLAIN, THINKING, WITH_TOOLS, Case

TRL = "trl 1.16.0, chat_templates/{}"
LLAMA_CPP = "llama.cpp as in llama-cpp-python 0.3.36, models/templates/{}"
LLAMA_CPP_TEST = "llama.cpp as in llama-cpp-python 0.3.36, tests/test-chat-template.cpp: {}"
JINJA_JS = "huggingface.js fe42e68, packages/jinja/test/e2e.test.js: {}"
OLLAMA = "huggingface.js fe42e68, ollama-utils/src/chat-template-automap.ts (GGUF): {}"

LAST_END = (
    "the official file writes no token behind an answer; ours writes the end token behind the "
    "last one, since what is learned has to end"
)
NO_EOS = "the official file closes a finished conversation with the end-of-text token, too"
ONE_CALL = (
    "the official file refuses more than one call; ours writes a JSON list, as LLaMA-Factory does"
)
NO_WORDS = "the official file leaves out what is said before a call"
NO_SYSTEM = "the official file refuses a system text; ours does with it what Gemma 3 does"
LAST_QUESTION = (
    "the official file leaves the system text out unless a question comes last; ours writes it "
    "before the last question in any case, as mistral-common does"
)
TWO_RESULTS = ("results", "answer after results")
RESULT_TEXT = (
    "the official file writes a result that is no JSON as it is, into what is JSON otherwise; ours "
    "puts it in quotes, as mistral-common 1.13.1 does (its InstructTokenizerV3)"
)
THOUGHT = (
    "the official file is made for asking and drops the thought of every answer; ours writes that "
    "of the answer to the last question, or the empty one"
)
SILENT = "the official file cannot be asked not to think; ours then writes the empty thought"
ROUNDS = (
    "the official file marks only the first round of calls and the first results with their begin "
    "token; ours every one"
)
V3_CALLS = (
    "the official file closes a list of calls after its second call, and drops calls after words; "
    "ours closes every list once, as the file of DeepSeek-R1 does"
)


SEVERAL = ("parallel calls", "results", "answer after results")
TOOLED = (PLAIN, WITH_TOOLS)
THINKS = (PLAIN, WITH_TOOLS, THINKING)


def end_with_an_answer(*groups: dict[str, Case]) -> tuple[str, ...]:
    """The conversations that end with an answer."""
    cases = [pair for group in groups for pair in group.items()]
    return tuple(label for label, case in cases if case.messages[-1]["role"] == "assistant")


ANSWERS = end_with_an_answer(PLAIN)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An official template.

    names     the built-in templates that write the same
    file      where it lies in the folder that the texts are made from
    origin    the package and version that ship it
    groups    the conversations that it is compared on
    shape     how the file wants its messages, where that is not OpenAI's form (see __main__)
    variables what both templates are given beside the conversation
    differs   reason -> the conversations in which ours is another
    """

    names: tuple[str, ...]
    file: str
    origin: str
    begin: str = ""
    end: str = "</s>"
    groups: tuple[dict[str, Case], ...] = (PLAIN,)
    shape: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    differs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its name in texts.json."""
        return f"{', '.join(self.names)}: {self.origin}"


def trl(file: str, *names: str, **more: Any) -> Source:
    """A template that trl ships."""
    return Source(names=names, file=f"trl/{file}", origin=TRL.format(file), **more)


def llama_cpp(file: str, *names: str, **more: Any) -> Source:
    """A template in llama.cpp's collection."""
    origin = LLAMA_CPP.format(file)
    return Source(names=names, file=f"llama.cpp/templates/{file}", origin=origin, **more)


def llama_cpp_test(file: str, model: str, *names: str, **more: Any) -> Source:
    """A template within llama.cpp's test of templates."""
    origin = LLAMA_CPP_TEST.format(model)
    return Source(names=names, file=f"llama.cpp/tests/{file}.jinja", origin=origin, **more)


def jinja_js(model: str, *names: str, **more: Any) -> Source:
    """A template within the test of Hugging Face's Jinja for JavaScript."""
    file = f"huggingface.js/jinja/{model.replace('/', '_')}.jinja"
    return Source(names=names, file=file, origin=JINJA_JS.format(model), **more)


def ollama(model: str, *names: str, **more: Any) -> Source:
    """A template read from the GGUF file of a model in Ollama's library."""
    file = f"huggingface.js/ollama/{model.replace(':', '_')}.jinja"
    return Source(names=names, file=file, origin=OLLAMA.format(model), **more)


BOS = {"begin": "<s>"}
DEEPSEEK = {"begin": "<s>", "end": "<｜end▁of▁sentence｜>", "shape": "deepseek"}

SOURCES = (
    llama_cpp_test(
        "inclusionAI_Ling-lite",
        "inclusionAI/Ling-lite",
        "bailing",
        differs={LAST_END: ANSWERS},
    ),
    llama_cpp_test("ChatGLM3", "ChatGLM3", "chatglm3", differs={LAST_END: ANSWERS}),
    llama_cpp_test(
        "teknium_OpenHermes-2.5-Mistral-7B", "teknium/OpenHermes-2.5-Mistral-7B", "chatml"
    ),
    trl("cohere.jinja", "cohere", **BOS),
    jinja_js("deepseek-ai/deepseek-llm-7b-chat", "deepseek", **BOS),
    llama_cpp_test("DeepSeek-V2", "DeepSeek-V2", "deepseek", **BOS),
    jinja_js("deepseek-ai/deepseek-coder-33b-instruct", "deepseekcoder", **BOS),
    ollama("exaone3.5:7.8b", "exaone"),
    trl(
        "gemma.jinja",
        "gemma",
        **BOS,
        differs={
            NO_SYSTEM: (
                "question after a system text",
                "second question after a system text",
                "two answers after a system text",
            )
        },
    ),
    trl("gemma3.jinja", "gemma", **BOS),
    Source(
        names=("gemma",),
        file="unsloth/gemma3n_template.jinja",
        origin="unsloth 2026.10.9, chat_templates.py: gemma-3n",
        **BOS,
    ),
    ollama("internlm2:1.8b", "internlm2", **BOS),
    ollama("llama2:7b", "llama2", **BOS),
    ollama("mixtral:8x7b", "mixtral", **BOS),
    jinja_js("openchat/openchat-3.5-0106", "openchat", **BOS),
    Source(
        names=("openchat-3.6",),
        file="ochat/openchat_3.6.jinja",
        origin="imoneoi/openchat f0d862e, ochat/config/__init__.py: openchat_3.6",
        **BOS,
    ),
    ollama("opencoder:8b", "opencoder"),
    trl("phi3.jinja", "phi3", differs={NO_EOS: ANSWERS}),
    trl("phi3_5.jinja", "phi3", differs={NO_EOS: ANSWERS}),
    llama_cpp_test("Phi-3-small", "Phi-3-small", "phi_small", **BOS, differs={NO_EOS: ANSWERS}),
    ollama("phi4:14b", "phi4"),
    ollama("phi4-mini:3.8b", "phi4_mini", differs={NO_EOS: ANSWERS}),
    ollama("qwen2:0.5b", "qwen2"),
    ollama("smollm2:135m", "smollm2"),
    jinja_js("upstage/SOLAR-10.7B-Instruct-v1.0", "solar", differs={LAST_END: ANSWERS}),
    Source(
        names=("yi",),
        file="unsloth/yi_chat_template.jinja",
        origin="unsloth 2026.10.9, chat_templates.py: yi-chat (Yi-34B-Chat)",
    ),
    Source(
        names=("zephyr",),
        file="huggingface.js/jinja/HuggingFaceH4_zephyr-7b-beta__add_generation_prompt=true_.jinja",
        origin=JINJA_JS.format("HuggingFaceH4/zephyr-7b-beta"),
    ),
    ollama("tinyllama:1.1b", "zephyr"),
    trl("qwen2_5.jinja", "qwen", groups=TOOLED),
    trl(
        "qwen3.jinja",
        "qwen3",
        groups=THINKS,
    ),
    trl("qwen3_instruct_2507.jinja", "qwen3_nothink", groups=TOOLED),
    trl(
        "qwen3_5_think.jinja",
        "qwen3_5",
        groups=THINKS,
    ),
    trl(
        "qwen3_5_nothink.jinja",
        "qwen3_5_nothink",
        groups=THINKS,
    ),
    trl(
        "qwen3_6.jinja",
        "qwen3_6",
        groups=THINKS,
    ),
    trl("llama3.jinja", "llama3", **BOS),
    trl("llama3_1.jinja", "llama3.1", **BOS, groups=TOOLED, differs={ONE_CALL: SEVERAL}),
    llama_cpp(
        "meta-llama-Llama-3.3-70B-Instruct.jinja",
        "llama3.1",
        **BOS,
        groups=TOOLED,
        differs={ONE_CALL: SEVERAL},
    ),
    trl("llama3_1.jinja", "llama3", **BOS, groups=(WITH_TOOLS,), differs={ONE_CALL: SEVERAL}),
    trl(
        "llama3_2.jinja",
        "llama3.2",
        **BOS,
        groups=TOOLED,
        variables={"date_string": "1 Jan 2030"},
        differs={ONE_CALL: SEVERAL},
    ),
    llama_cpp(
        "NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja",
        "hermes",
        **BOS,
        groups=(WITH_TOOLS,),
        differs={NO_WORDS: ("call after words",)},
    ),
    ollama("hermes3:70b", "hermes", **BOS),
    llama_cpp_test(
        "Mistral-Large-Instruct-2407_mistralai_v3_template_modified_to_have_sys",
        "Mistral-Large-Instruct-2407 (v3)",
        "mistral",
        **BOS,
        groups=TOOLED,
        differs={LAST_QUESTION: ("two answers after a system text",), RESULT_TEXT: TWO_RESULTS},
    ),
    llama_cpp(
        "mistralai-Mistral-Nemo-Instruct-2407.jinja",
        "ministral",
        **BOS,
        groups=TOOLED,
        differs={LAST_QUESTION: ("two answers after a system text",), RESULT_TEXT: TWO_RESULTS},
    ),
    ollama("mistral-small:24b", "mistral_small", **BOS),
    ollama(
        "glm4:9b",
        "glm4",
        groups=TOOLED,
        shape="glm4",
        differs={LAST_END: end_with_an_answer(*TOOLED)},
    ),
    ollama(
        "deepseek-v3:671b",
        "deepseek3",
        **DEEPSEEK,
        groups=TOOLED,
        differs={
            V3_CALLS: (
                "call",
                "call after words",
                "call with every kind of value",
                "call without arguments",
                "result",
                "answer after a result",
                "result in a second turn",
                "question after a call",
            ),
            ROUNDS: ("two steps",),
        },
    ),
    trl(
        "deepseekv3.jinja",
        "deepseekr1",
        **DEEPSEEK,
        groups=THINKS,
        differs={
            THOUGHT: tuple(
                label
                for label in end_with_an_answer(*THINKS)
                if label not in {"answer after a result", "answer after results", "two steps"}
            ),
            ROUNDS: ("two steps",),
            SILENT: ("asked not to think",),
        },
    ),
    ollama(
        "granite3-dense:2b",
        "granite3",
        groups=TOOLED,
        shape="granite3",
        differs={NO_WORDS: ("call after words",)},
    ),
    ollama("granite4:latest", "granite4", groups=TOOLED),
)

# Formats that no model's file is at hand for, and what they are taken from instead.
WITHOUT_A_FILE = {
    "alpaca": "LLaMA-Factory ff6d4d1 (the prompt of Stanford Alpaca, which was no chat)",
    "baichuan": "fschat 0.2.36, conversation.py: baichuan-chat",
    "baichuan2": "fschat 0.2.36, conversation.py: baichuan2-chat",
    "chatml_de": "LLaMA-Factory ff6d4d1",
    "default": "LLaMA-Factory ff6d4d1",
    "empty": "LLaMA-Factory ff6d4d1; ours ends an answer with the end token",
    "fewshot": "LLaMA-Factory ff6d4d1",
    "llama2_zh": "LLaMA-Factory ff6d4d1: llama2 with another system text",
    "vicuna": "fschat 0.2.36, conversation.py: vicuna_v1.1",
}
