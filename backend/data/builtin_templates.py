"""Built-in templates for base models and for the names that tutorials use.

A template is described by the texts around each message, or by a file, and written as Jinja, so
that it is saved with the model and works without this program. Which official file each of them is
compared with, and where they differ: docs/templates.md.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment

from backend.contract.models.template_names import ALIASES

FOLDER = Path(__file__).parent / "chat_templates"
# What stands in these brackets of a file is decided once, when the template is made: a template
# of a model that does not think has no text about thoughts.
LAYOUT = Environment(
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<$",
    variable_end_string="$>",
    comment_start_string="<#",
    comment_end_string="#>",
    trim_blocks=True,
)


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Texts of a template: prefix [system] (user | reply answer)*; `reply` asks for an answer.

    In a text {} is the content, @BOS@ and @END@ the tokens that begin a text and end an answer.

    inside    the system text stands in the first user message instead of before it
    trim      blanks around the texts of questions and answers are not written
    end       what ends an answer; "" is the tokenizer's end token
    last      the end is written after the last answer only (the next header ends the others)
    stops     further tokens that end an answer
    default   the system text where a conversation has none
    bare      what stands in place of the system text where there is none
    """

    user: str
    reply: str = ""
    answer: str
    system: str = "{}\n\n"
    prefix: str = ""
    inside: bool = False
    trim: bool = False
    end: str = ""
    last: bool = False
    stops: tuple[str, ...] = ()
    default: str = ""
    bare: str = ""


@dataclass(frozen=True, kw_only=True)
class File:
    """A template of a model family with tools or thoughts: chat_templates/<file>.jinja.

    It reads begin_token and end_token, default_system (`default`), and its own `settings`. `end`,
    `stops` and `default` are as in Pieces.
    """

    file: str
    end: str = ""
    stops: tuple[str, ...] = ()
    default: str = ""
    settings: tuple[tuple[str, str | bool], ...] = ()


def jinja(template: Pieces | File, begin: str, end: str) -> str:
    """The template as Jinja, with these tokens written in."""
    if isinstance(template, Pieces):
        return _from_pieces(template, begin, end)
    values = {
        "begin_token": begin,
        "end_token": end,
        "default_system": template.default,
        **dict(template.settings),
    }
    path = FOLDER / f"{template.file}.jinja"
    body = LAYOUT.from_string(path.read_text(encoding="utf-8")).render(values)
    head = "".join(
        f"{{%- set {name} = {json.dumps(value, ensure_ascii=False)} -%}}\n"
        for name, value in values.items()
        if re.search(rf"\b{name}\b", body)
    )
    return head + body


def _from_pieces(pieces: Pieces, begin: str, end: str) -> str:
    def quote(text: str) -> str:
        return json.dumps(text.replace("@BOS@", begin).replace("@END@", end), ensure_ascii=False)

    def wrap(piece: str, content: str) -> str:
        before, after = piece.split("{}")
        return " + ".join([quote(before), content, quote(after)])

    content = "(content | trim)" if pieces.trim else "content"
    system = wrap(pieces.system, "system")
    user = wrap(pieces.user, content)
    if pieces.inside:
        user = wrap(pieces.user, f"(({system}) if loop.first and system else '') + {content}")
    answer = wrap(pieces.answer, content)
    if pieces.last:
        open_answer = wrap(pieces.answer.replace("@END@", ""), content)
        answer = f"(({answer}) if loop.last else ({open_answer}))"
    opening = f"{{{{- ({system}) if system else {quote(pieces.bare)} -}}}}"
    lines = [
        "{%- if messages[0]['role'] == 'system' -%}",
        "{%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}",
        f"{{%- else -%}}{{%- set system = {quote(pieces.default)} -%}}",
        "{%- set turns = messages -%}{%- endif -%}",
        f"{{{{- {quote(pieces.prefix)} -}}}}",
        "" if pieces.inside else opening,
        "{%- for message in turns -%}{%- set content = message['content'] -%}",
        "{%- if message['role'] == 'assistant' -%}",
        f"{{{{- {quote(pieces.reply)} + {answer} -}}}}",
        f"{{%- else -%}}{{{{- {user} -}}}}{{%- endif -%}}{{%- endfor -%}}",
        f"{{%- if add_generation_prompt -%}}{{{{- {quote(pieces.reply)} -}}}}{{%- endif -%}}",
    ]
    return "".join(lines)


__all__ = ["BUILTIN", "jinja", "pieces"]

CHATML = Pieces(
    system="<|im_start|>system\n{}@END@\n",
    user="<|im_start|>user\n{}@END@\n",
    reply="<|im_start|>assistant\n",
    answer="{}@END@\n",
    end="<|im_end|>",
)
LLAMA2 = Pieces(
    system="<<SYS>>\n{}\n<</SYS>>\n\n",
    inside=True,
    trim=True,
    user="@BOS@[INST] {} [/INST]",
    answer=" {} @END@",
)
BAICHUAN2 = Pieces(
    system="{}", user="<reserved_106>{}", reply="<reserved_107>", answer="{}@END@", last=True
)
PHI3 = Pieces(
    system="<|system|>\n{}@END@\n",
    user="<|user|>\n{}@END@\n",
    reply="<|assistant|>\n",
    answer="{}@END@\n",
    end="<|end|>",
)
LLAMA3 = File(file="llama3", end="<|eot_id|>", stops=("<|eom_id|>",), settings=(("dated", False),))
QWEN = File(
    file="qwen",
    end="<|im_end|>",
    default="You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    settings=(("thinks", False),),
)
QWEN3_5 = File(
    file="qwen3_5", end="<|im_end|>", settings=(("thinks", True), ("json_values", False))
)
MISTRAL = File(file="mistral", settings=(("gap", " "), ("system_mark", False)))

PLAIN = {
    "default": Pieces(
        system="System: {}@END@\n",
        user="Human: {}@END@\n",
        reply="Assistant:",
        answer="{}@END@\n",
    ),
    "empty": Pieces(system="{}", user="{}", answer="{}@END@"),
    "fewshot": Pieces(system="{}", user="{}", answer="{}\n\n@END@", last=True),
    "alpaca": Pieces(
        user="### Instruction:\n{}\n\n",
        reply="### Response:\n",
        answer="{}@END@\n\n",
        default=(
            "Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request."
        ),
    ),
    "bailing": Pieces(
        system="<role>SYSTEM</role>{}",
        user="<role>HUMAN</role>{}",
        reply="<role>ASSISTANT</role>",
        answer="{}@END@",
        last=True,
    ),
    "baichuan": replace(BAICHUAN2, user="<reserved_102>{}", reply="<reserved_103>"),
    "baichuan2": BAICHUAN2,
    "chatglm3": Pieces(
        prefix="[gMASK]sop",
        system="<|system|>\n {}",
        user="<|user|>\n {}",
        reply="<|assistant|>",
        answer="\n {}@END@",
        last=True,
        stops=("<|user|>", "<|observation|>"),
    ),
    "chatml": CHATML,
    "chatml_de": replace(
        CHATML, default="Du bist ein freundlicher und hilfsbereiter KI-Assistent."
    ),
    "cohere": Pieces(
        prefix="@BOS@",
        trim=True,
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{}@END@",
        user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{}@END@",
        reply="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        answer="{}@END@",
        end="<|END_OF_TURN_TOKEN|>",
    ),
    "deepseek": Pieces(prefix="@BOS@", user="User: {}\n\n", reply="Assistant:", answer=" {}@END@"),
    "deepseekcoder": Pieces(
        prefix="@BOS@",
        system="{}",
        user="### Instruction:\n{}\n",
        reply="### Response:\n",
        answer="{}\n@END@\n",
        end="<|EOT|>",
        default=(
            "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
            "Deepseek Company, and you only answer questions related to computer science. For "
            "politically sensitive questions, security and privacy issues, and other non-computer "
            "science questions, you will refuse to answer\n"
        ),
    ),
    "exaone": Pieces(
        system="[|system|]{}@END@\n",
        bare="[|system|]@END@\n",
        user="[|user|]{}\n",
        reply="[|assistant|]",
        answer="{}@END@\n",
        end="[|endofturn|]",
    ),
    "gemma": Pieces(
        prefix="@BOS@",
        inside=True,
        trim=True,
        user="<start_of_turn>user\n{}@END@\n",
        reply="<start_of_turn>model\n",
        answer="{}@END@\n",
        end="<end_of_turn>",
    ),
    "internlm2": replace(CHATML, prefix="@BOS@"),
    "llama2": LLAMA2,
    "llama2_zh": replace(LLAMA2, default="You are a helpful assistant. 你是一个乐于助人的助手。"),
    "mixtral": Pieces(prefix="@BOS@", inside=True, user=" [INST] {} [/INST]", answer=" {}@END@"),
    "openchat": Pieces(
        prefix="@BOS@",
        system="GPT4 Correct System: {}@END@",
        user="GPT4 Correct User: {}@END@",
        reply="GPT4 Correct Assistant:",
        answer=" {}@END@",
        end="<|end_of_turn|>",
    ),
    "openchat-3.6": Pieces(
        prefix="@BOS@",
        trim=True,
        system="<|start_header_id|>System<|end_header_id|>\n\n{}@END@",
        user="<|start_header_id|>GPT4 Correct User<|end_header_id|>\n\n{}@END@",
        reply="<|start_header_id|>GPT4 Correct Assistant<|end_header_id|>\n\n",
        answer="{}@END@",
        end="<|eot_id|>",
    ),
    "opencoder": replace(CHATML, default="You are OpenCoder, created by OpenCoder Team."),
    "phi3": PHI3,
    "phi_small": replace(PHI3, prefix="@BOS@"),
    "phi4": Pieces(
        system="<|im_start|>system<|im_sep|>{}@END@",
        user="<|im_start|>user<|im_sep|>{}@END@",
        reply="<|im_start|>assistant<|im_sep|>",
        answer="{}@END@",
        end="<|im_end|>",
    ),
    "phi4_mini": Pieces(
        system="<|system|>{}@END@",
        user="<|user|>{}@END@",
        reply="<|assistant|>",
        answer="{}@END@",
        end="<|end|>",
    ),
    "qwen2": replace(CHATML, default="You are a helpful assistant."),
    "smollm2": replace(
        CHATML,
        default="You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    ),
    "solar": Pieces(
        system="### System:\n{}\n\n",
        user="### User:\n{}\n\n",
        reply="### Assistant:\n",
        answer="{}@END@",
        last=True,
    ),
    "vicuna": Pieces(
        prefix="@BOS@",
        system="{} ",
        user="USER: {} ",
        reply="ASSISTANT:",
        answer=" {}@END@",
        default=(
            "A chat between a curious user and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the user's questions."
        ),
    ),
    "yi": CHATML,
    "zephyr": Pieces(
        system="<|system|>\n{}@END@\n",
        user="<|user|>\n{}@END@\n",
        reply="<|assistant|>\n",
        answer="{}@END@\n",
    ),
}

FILES = {
    "deepseek3": File(file="deepseek", settings=(("thinks", False),)),
    "deepseekr1": File(file="deepseek", settings=(("thinks", True),)),
    "glm4": File(file="glm4", stops=("<|user|>", "<|observation|>")),
    "granite3": File(file="granite3", end="<|end_of_text|>"),
    "granite4": File(file="granite4", end="<|end_of_text|>"),
    "hermes": File(file="hermes", end="<|im_end|>", default="You are a helpful assistant."),
    "llama3": LLAMA3,
    "llama3.1": replace(LLAMA3, settings=(("dated", "26 Jul 2024"),)),
    "llama3.2": replace(LLAMA3, settings=(("dated", "today"),)),
    "ministral": replace(MISTRAL, settings=(("gap", ""), ("system_mark", False))),
    "mistral": MISTRAL,
    "mistral_small": replace(MISTRAL, settings=(("gap", ""), ("system_mark", True))),
    "qwen": QWEN,
    "qwen3": replace(QWEN, default="", settings=(("thinks", True),)),
    "qwen3_nothink": replace(QWEN, default=""),
    "qwen3_5": QWEN3_5,
    "qwen3_5_nothink": replace(QWEN3_5, settings=(("thinks", False), ("json_values", False))),
    "qwen3_6": replace(QWEN3_5, settings=(("thinks", True), ("json_values", True))),
}

BUILTIN: dict[str, Pieces | File] = {**PLAIN, **FILES}


def pieces(name: str) -> Pieces | File:
    """The template of a name in contract.models.template_names, or of an alias."""
    return BUILTIN[ALIASES.get(name, name)]
