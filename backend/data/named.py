"""Named templates for base models and old names, each as the few texts around a message.

A template is written as Jinja, so that it is saved with the model and works without this program.
In a piece {} is the content, @BOS@ and @END@ the tokens that begin a text and end an answer.
"""

import json
from dataclasses import dataclass, replace

from backend.contract.template_names import ALIASES


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """prefix [system] (user | reply answer)*; `reply` is what asks the model for an answer.

    inside    the system text stands in the first user message instead of before it
    end       what ends an answer; "" is the tokenizer's end token
    last      the end is written after the last answer only (the next header ends the others)
    stops     further tokens that end an answer
    default   the system text where a conversation has none
    """

    user: str
    reply: str = ""
    answer: str
    system: str = "{}\n\n"
    prefix: str = ""
    inside: bool = False
    end: str = ""
    last: bool = False
    stops: tuple[str, ...] = ()
    default: str = ""


CHATML = Pieces(
    system="<|im_start|>system\n{}@END@\n",
    user="<|im_start|>user\n{}@END@\n",
    reply="<|im_start|>assistant\n",
    answer="{}@END@\n",
    end="<|im_end|>",
)

NAMED = {
    "default": Pieces(
        system="System: {}@END@\n",
        user="Human: {}@END@\n",
        reply="Assistant:",
        answer="{}@END@\n",
    ),
    "empty": Pieces(system="{}", user="{}", answer="{}@END@"),
    "alpaca": Pieces(
        user="### Instruction:\n{}\n\n",
        reply="### Response:\n",
        answer="{}@END@\n\n",
        default=(
            "Below is an instruction that describes a task. "
            "Write a response that appropriately completes the request."
        ),
    ),
    "baichuan2": Pieces(
        system="{}", user="<reserved_106>{}", reply="<reserved_107>", answer="{}@END@"
    ),
    "chatml": CHATML,
    "qwen": replace(
        CHATML, default="You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    ),
    "smollm2": replace(
        CHATML,
        default="You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    ),
    "internlm2": replace(CHATML, prefix="@BOS@"),
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
    "llama2": Pieces(
        system="<<SYS>>\n{}\n<</SYS>>\n\n",
        inside=True,
        user="@BOS@[INST] {} [/INST]",
        answer=" {} @END@",
    ),
    "llama3": Pieces(
        prefix="@BOS@",
        system="<|start_header_id|>system<|end_header_id|>\n\n{}@END@",
        user="<|start_header_id|>user<|end_header_id|>\n\n{}@END@",
        reply="<|start_header_id|>assistant<|end_header_id|>\n\n",
        answer="{}@END@",
        end="<|eot_id|>",
        stops=("<|eom_id|>",),
    ),
    "mistral": Pieces(prefix="@BOS@", inside=True, user="[INST] {}[/INST]", answer=" {}@END@"),
    "gemma": Pieces(
        prefix="@BOS@",
        inside=True,
        user="<start_of_turn>user\n{}@END@\n",
        reply="<start_of_turn>model\n",
        answer="{}@END@\n",
        end="<end_of_turn>",
    ),
    "phi3": Pieces(
        system="<|system|>\n{}@END@\n",
        user="<|user|>\n{}@END@\n",
        reply="<|assistant|>\n",
        answer="{}@END@\n",
        end="<|end|>",
    ),
    "phi4": Pieces(
        system="<|im_start|>system<|im_sep|>{}@END@",
        user="<|im_start|>user<|im_sep|>{}@END@",
        reply="<|im_start|>assistant<|im_sep|>",
        answer="{}@END@",
        end="<|im_end|>",
    ),
    "deepseek": Pieces(prefix="@BOS@", user="User: {}\n\n", reply="Assistant:", answer=" {}@END@"),
    "deepseek3": Pieces(
        prefix="@BOS@",
        system="{}",
        user="<｜User｜>{}",
        reply="<｜Assistant｜>",
        answer="{}@END@",
    ),
    "chatglm3": Pieces(
        prefix="[gMASK]sop",
        system="<|system|>\n {}",
        user="<|user|>\n {}",
        reply="<|assistant|>",
        answer="\n {}@END@",
        last=True,
        stops=("<|user|>", "<|observation|>"),
    ),
    "glm4": Pieces(
        prefix="[gMASK]<sop>",
        system="<|system|>\n{}",
        user="<|user|>\n{}",
        reply="<|assistant|>",
        answer="\n{}@END@",
        last=True,
        stops=("<|user|>", "<|observation|>"),
    ),
    "openchat": Pieces(
        prefix="@BOS@",
        system="{}@END@",
        user="GPT4 Correct User: {}@END@",
        reply="GPT4 Correct Assistant:",
        answer=" {}@END@",
        end="<|end_of_turn|>",
    ),
    "zephyr": Pieces(
        system="<|system|>\n{}@END@\n",
        user="<|user|>\n{}@END@\n",
        reply="<|assistant|>\n",
        answer="{}@END@\n",
    ),
}


def pieces(name: str) -> Pieces:
    """The template of one of contract.template_names, or of an alias."""
    return NAMED[ALIASES.get(name, name)]


def jinja(given: Pieces, begin: str, end: str) -> str:
    """The template as Jinja, with these tokens written in."""

    def quoted(text: str) -> str:
        return json.dumps(text.replace("@BOS@", begin).replace("@END@", end), ensure_ascii=False)

    def around(piece: str, content: str) -> str:
        before, after = piece.split("{}")
        return " + ".join([quoted(before), content, quoted(after)])

    system = around(given.system, "system")
    user = around(given.user, "content")
    if given.inside:
        inside = f"(({system}) if loop.first and system else '')"
        user = around(given.user, f"{inside} + content")
    answer = around(given.answer, "content")
    if given.last:
        open_answer = around(given.answer.replace("@END@", ""), "content")
        answer = f"(({answer}) if loop.last else ({open_answer}))"
    lines = [
        "{%- if messages[0]['role'] == 'system' -%}",
        "{%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}",
        f"{{%- else -%}}{{%- set system = {quoted(given.default)} -%}}",
        "{%- set turns = messages -%}{%- endif -%}",
        f"{{{{- {quoted(given.prefix)} -}}}}",
        "" if given.inside else f"{{%- if system -%}}{{{{- {system} -}}}}{{%- endif -%}}",
        "{%- for message in turns -%}{%- set content = message['content'] -%}",
        "{%- if message['role'] == 'assistant' -%}",
        f"{{{{- {quoted(given.reply)} + {answer} -}}}}",
        f"{{%- else -%}}{{{{- {user} -}}}}{{%- endif -%}}{{%- endfor -%}}",
        f"{{%- if add_generation_prompt -%}}{{{{- {quoted(given.reply)} -}}}}{{%- endif -%}}",
    ]
    return "".join(lines)
