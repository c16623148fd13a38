"""Names that people give to columns and roles, in English and Chinese; the surest come first.

Compared without case, spaces, dashes and underscores.
"""

import re

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": (
        *("messages", "conversations", "conversation", "dialogue", "dialog", "dialogs", "chat"),
        *("turns", "chats", "对话", "多轮对话", "会话", "消息", "聊天记录"),
    ),
    "chosen": (
        *("chosen", "preferred", "chosenresponse", "responsechosen", "better", "winner", "good"),
        *("accepted", "positive", "优选", "优选回答", "好回答", "好的回答", "更好的回答", "接受"),
    ),
    "rejected": (
        *("rejected", "dispreferred", "rejectedresponse", "responserejected", "worse", "loser"),
        *("bad", "negative", "拒绝", "劣选回答", "差回答", "差的回答", "更差的回答"),
    ),
    "kto_tag": (
        *("ktotag", "label", "desirable", "thumbsup", "isgood", "liked", "acceptable"),
        *("feedback", "标签", "是否采纳", "是否满意", "好评"),
    ),
    "response": (
        *("output", "response", "answer", "completion", "reply", "a", "ans", "target", "assistant"),
        *("gpt", "solution", "tgt", "bot", "回答", "答案", "输出", "回复", "答复", "答", "助手"),
        *("标准答案", "参考答案", "模型回答"),
    ),
    "prompt": (
        *("instruction", "prompt", "question", "query", "q", "ask", "user", "human", "request"),
        *("problem", "src", "source", "问题", "指令", "提问", "提示", "提示词", "问", "题目"),
        *("用户", "用户输入", "输入", "input"),
    ),
    "query": ("input", "context", "passage", "background", "输入", "上下文", "背景", "材料"),
    "system": ("system", "systemprompt", "systemmessage", "系统", "系统提示", "系统提示词"),
    "history": ("history", "历史", "历史对话", "对话历史"),
    "tools": ("tools", "functions", "工具", "工具列表"),
    "text": (
        *("text", "content", "document", "body", "article", "data", "passage", "raw", "story"),
        *("文本", "内容", "正文", "文章", "段落", "语料"),
    ),
}
ROLE_KEYS = ("role", "from", "speaker", "author", "sender", "who", "角色", "说话人")
CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "body", "内容", "文本")
ROLES: dict[str, tuple[str, ...]] = {
    "user_tag": ("user", "human", "prompter", "customer", "question", "用户", "人类", "客户"),
    "assistant_tag": (
        *("assistant", "gpt", "bot", "chatgpt", "model", "ai", "agent", "answer"),
        *("助手", "机器人", "客服", "模型"),
    ),
    "system_tag": ("system", "系统"),
    "observation_tag": ("tool", "observation", "ipython", "functionresponse", "工具"),
    "function_tag": ("functioncall", "toolcall"),
}


def normalize_name(name: object) -> str:
    """The name without white space, dashes and underscores, in lower case."""
    return re.sub(r"[\s_\-]+", "", str(name)).casefold()


def find_best(names: list[str], known: tuple[str, ...]) -> str:
    """The one of `names` that comes first among the known ones; "" where none is known."""
    by_name = {normalize_name(name): name for name in reversed(names)}
    return next((by_name[word] for word in known if word in by_name), "")
