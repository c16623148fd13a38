"""Find which column of a data set holds what, and the names of its keys and roles.

The entry in dataset_info.json decides; where it has no columns, those of the first row do. A
mistake in the columns of a file is a DataError that names the columns that are there. Detection of
a layout also takes names that people give to columns and roles, in English and Chinese; the surest
come first. They are compared without case, spaces, dashes and underscores.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from backend.contract.arguments.fields.stages import SCORED
from backend.contract.registry.dataset_info import Entry
from backend.contract.texts.problems import DataError, Problem
from backend.datafiles import media, turns
from backend.datafiles.turns import Message, RowError
from backend.datafiles.values import DataRow

USUAL: dict[str, tuple[str, ...]] = {
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


ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
OPTIONAL = {"system": "system", "history": "history", "tools": "tools"}
FUNCTIONS = "functions"  # what OpenAI called tools before: read in rows without tools
PAIR = {"chosen": "chosen", "rejected": "rejected"}
COLUMNS = (*ALPACA, *OPTIONAL, *PAIR, "kto_tag")
PAIRS = (("prompt", "response"), ("prompt", "completion"), ("question", "answer"))
TAGS = ("kto_tag", "label")
LISTS = {"sharegpt": ("conversations", "messages"), "openai": ("messages", "conversations")}
# What a row must have for the stage that learns from it.
WANTED = {
    "pt": "text",
    "sft": "answer",
    "rm": "pair",
    "dpo": "pair",
    "kto": "label",
    "distillation": "answer",
    **dict.fromkeys(SCORED, "prompt"),
}
NEEDED = {
    "answer": ("prompt", "response"),
    "label": ("prompt", "response", "kto_tag"),
    "pair": ("prompt", "chosen", "rejected"),
    "prompt": ("prompt",),
    "text": ("prompt", "response"),
}
# Of the columns of a layout those that a stage does not look at.
UNREAD = {
    "answer": ("chosen", "rejected", "kto_tag"),
    "label": ("chosen", "rejected"),
    "pair": ("response", "kto_tag"),
    "prompt": ("rejected", "kto_tag"),
    "text": ("chosen", "rejected", "kto_tag"),
}


@dataclass(frozen=True)
class Layout:
    """The column for each key ("" where there is none), and the names of keys and roles."""

    kind: str
    wanted: str
    columns: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict)
    media: tuple[str, ...] = media.COLUMNS  # columns that must be empty
    beside_media: bool = False  # the set has such columns, be they empty
    strict: bool = False  # turns out of order are refused, not mended

    @cached_property
    def read(self) -> set[str]:
        """The columns that this stage reads, and those that must be empty."""
        unread = UNREAD[self.wanted]
        return {name for key, name in self.columns.items() if key not in unread} | {*self.media}

    def refuse_media(self, row: DataRow) -> None:
        """Raises RowError where a row holds pictures, videos or sounds: not learned yet."""
        if media.has_media(row, self.media, self.columns.values()):
            raise RowError("row_media")

    def note_placeholders(self, row: DataRow, messages: list[Message]) -> tuple[str, ...]:
        """The code of a notice where a user's turn has a tag such as <image> as text.

        Raises RowError where it is the place of a picture, a video or a sound.
        """
        beside_media = self.beside_media or any(name in row for name in self.media)
        kinds = {
            media.find_placeholder(message["content"], beside_media=beside_media)
            for message in messages
            if message["role"] == "user"
        }
        if "place" in kinds:
            raise RowError("row_placeholder")
        return ("row_tag_as_text",) if "tag" in kinds else ()


def layout(entry: Entry, first: DataRow, place: tuple[str, int], wanted: str = "answer") -> Layout:
    """The layout of a data set, from its entry and, where that has no columns, its first row.

    place: file and line of that row; wanted: one of the values of WANTED. Raises DataError where
    a needed column is missing, with the columns that are there.
    """
    layout = _layout(entry, first, place, wanted)
    columns = media.columns(entry, layout.columns.values())
    named = {*(entry.columns or {})} & {*media.COLUMNS}
    beside_media = bool(named) or any(name in first for name in columns)
    return replace(layout, media=columns, beside_media=beside_media)


def _layout(entry: Entry, first: DataRow, place: tuple[str, int], wanted: str) -> Layout:
    kind = entry.formatting or _guess(entry, first)
    text = _text_column(entry, first, kind) if wanted == "text" else ""
    if text:
        if text not in first:
            raise _columns_error(place, first, text)
        return Layout("text", wanted, {"text": text})
    if kind in LISTS:
        return _list_layout(kind, entry, first, place, wanted)
    columns = dict.fromkeys(COLUMNS, "")
    columns |= _alpaca_columns(first) if entry.columns is None else _select_known(entry.columns)
    needed = [key for key in NEEDED[wanted] if not _is_implied(key, columns, first)]
    if wanted == "text" and entry.columns is None and columns["prompt"] not in first:
        raise _columns_error(place, first, "text")
    _require(needed, columns, first, place)
    return Layout("alpaca", wanted, columns)


def _guess(entry: Entry, first: DataRow) -> str:
    """alpaca is what an entry without formatting means, unless the rows plainly say otherwise."""
    if entry.columns is not None:
        return "sharegpt" if entry.columns.get("messages") else "alpaca"
    filled = {name for name, value in first.items() if value is not None}
    if "messages" in filled and "instruction" not in filled:
        return "openai"
    if "conversations" in filled and "instruction" not in filled:
        return "sharegpt"
    return "alpaca"


def _text_column(entry: Entry, first: DataRow, kind: str) -> str:
    """The column of plain text; "" where the rows are conversations."""
    if kind != "alpaca":
        return ""
    if entry.columns is not None:
        chat = any(entry.columns.get(key) for key in ("response", *PAIR))
        return "" if chat else entry.columns.get("prompt", "text")
    if "text" in first and ALPACA["prompt"] not in first:
        return "text"
    return next(iter(first)) if len(first) == 1 else ""


def _select_known(columns: Mapping[str, str]) -> dict[str, str]:
    return {key: name for key, name in columns.items() if key in COLUMNS}


def _alpaca_columns(first: DataRow) -> dict[str, str]:
    tag = next((name for name in TAGS if name in first), "")
    columns = {**ALPACA, **OPTIONAL, **PAIR, "kto_tag": tag}
    texts = [first.get(name) for name in ("prompt", "response", "completion", *PAIR)]
    if any(turns.is_message_list(each if isinstance(each, list) else [each]) for each in texts):
        columns[FUNCTIONS] = FUNCTIONS  # beside messages, which may call them
    if ALPACA["prompt"] in first:
        return columns
    for prompt, response in PAIRS:
        if prompt in first and response in first:
            return {**columns, "prompt": prompt, "query": "", "response": response}
    if "prompt" in first or turns.is_message_list(first.get("chosen")):
        return {**columns, "prompt": "prompt", "query": ""}
    return columns


def _is_implied(key: str, columns: Mapping[str, str], first: DataRow) -> bool:
    """Whether the prompt stands within the chosen answer's list of messages."""
    chosen = first.get(columns["chosen"])
    return key == "prompt" and turns.is_message_list(chosen) and len(chosen or ()) > 1


def _require(
    keys: list[str], columns: Mapping[str, str], first: DataRow, place: tuple[str, int]
) -> None:
    for key in keys:
        if not columns[key] or columns[key] not in first:
            raise _columns_error(place, first, columns[key] or f"columns.{key}")


def _list_layout(
    kind: str, entry: Entry, first: DataRow, place: tuple[str, int], wanted: str
) -> Layout:
    named = entry.columns or {}
    names = [named["messages"]] if named.get("messages") else list(LISTS[kind])
    there = [name for name in names if name in first]
    column = next((name for name in there if first[name] is not None), next(iter(there), None))
    if column is None:
        raise _columns_error(place, first, names[0])
    columns = dict.fromkeys(COLUMNS, "")
    if entry.columns is None:
        tag = next((name for name in TAGS if name in first), "")
        columns |= {**OPTIONAL, "history": "", FUNCTIONS: FUNCTIONS, **PAIR, "kto_tag": tag}
    columns |= {**_select_known(named), "messages": column}
    needed = [key for key in NEEDED[wanted] if key not in {"prompt", "response"}]
    _require(needed, columns, first, place)
    return Layout(kind, wanted, columns, turns.find_role_names(entry.tags, kind, first[column]))


def _columns_error(place: tuple[str, int], first: DataRow, needed: str) -> DataError:
    present = ", ".join(map(str, first))[:200]
    params: dict[str, str | int] = {
        "file": place[0],
        "line": place[1],
        "missing": needed,
        "present": present or "-",
    }
    return DataError(Problem(code="columns_missing", params=params))
