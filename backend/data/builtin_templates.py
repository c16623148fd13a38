"""Named templates for base models and for the names that tutorials use.

A template is written as Jinja, so that it is saved with the model and works without this program.
Which official file each of them is compared with, and where they differ: docs/templates.md.
"""

from dataclasses import replace

from backend.contract.models.template_names import ALIASES
from backend.data.pieces import File, Pieces, jinja

__all__ = ["NAMED", "jinja", "pieces"]

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

NAMED: dict[str, Pieces | File] = {**PLAIN, **FILES}


def pieces(name: str) -> Pieces | File:
    """The template of a name in contract.models.template_names, or of an alias."""
    return NAMED[ALIASES.get(name, name)]
