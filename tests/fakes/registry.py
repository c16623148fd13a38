"""A dataset_info.json such as people bring along: about a hundred entries of every shape."""

import json
from pathlib import Path
from typing import Any

ROLES = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
}
ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
TOOL = json.dumps([{"name": "now", "description": "the time", "parameters": {}}])


def said(
    *turns: tuple[str, str], role: str = "from", content: str = "value"
) -> list[dict[str, str]]:
    """A list of messages."""
    return [{role: who, content: what} for who, what in turns]


# name -> (stage that learns from it, entry, rows)
LOCAL: dict[str, tuple[str, dict[str, Any], list[Any]]] = {
    "alpaca_demo": (
        "sft",
        {"file_name": "alpaca_demo.json"},
        [{"instruction": "Add.", "input": "1 and 2", "output": "3"}],
    ),
    "history_demo": (
        "sft",
        {
            "file_name": "history_demo.json",
            "columns": {**ALPACA, "system": "system", "history": "history"},
        },
        [{"instruction": "q", "input": "", "output": "a", "system": "s", "history": [["x", "y"]]}],
    ),
    "tool_demo": (
        "sft",
        {
            "file_name": "tool_demo.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "tools": "tools"},
        },
        [
            {
                "conversations": said(
                    ("human", "What time is it?"),
                    ("function_call", '{"name": "now", "arguments": {}}'),
                    ("observation", "noon"),
                    ("gpt", "It is noon."),
                ),
                "tools": TOOL,
            }
        ],
    ),
    "roles_demo": (
        "sft",
        {
            "file_name": "roles_demo.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {**ROLES, "system_tag": "system"},
        },
        [{"messages": said(("user", "q"), ("assistant", "a"), role="role", content="content")}],
    ),
    "preference_demo": (
        "dpo",
        {
            "file_name": "preference_demo.json",
            "ranking": True,
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        },
        [
            {
                "conversations": said(("human", "q")),
                "chosen": {"from": "gpt", "value": "good"},
                "rejected": {"from": "gpt", "value": "bad"},
            }
        ],
    ),
    "pair_demo": (
        "rm",
        {
            "file_name": "pair_demo.json",
            "ranking": True,
            "columns": {"prompt": "question", "chosen": "yes", "rejected": "no"},
        },
        [{"question": "q", "yes": "good", "no": "bad"}],
    ),
    "judged_demo": (
        "kto",
        {
            "file_name": "judged_demo.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "kto_tag": "label"},
            "tags": ROLES,
        },
        [
            {
                "messages": said(("user", "q"), ("assistant", "a"), role="role", content="content"),
                "label": True,
            }
        ],
    ),
    "web_demo": (
        "pt",
        {"file_name": "web_demo.jsonl", "columns": {"prompt": "text"}},
        [{"text": "Plain text.", "url": "x"}],
    ),
    "book_demo": (
        "pt",
        {"file_name": "book_demo.txt", "columns": {"prompt": "text"}},
        ["A line of a book."],
    ),
    "folder_demo": ("sft", {"file_name": "folder_demo", "columns": {**ALPACA}}, []),
}
REST: list[dict[str, Any]] = [
    {},
    {"columns": {**ALPACA, "history": "history"}},
    {"formatting": "sharegpt"},
    {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": ROLES},
    {"ranking": True, "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}},
    {"columns": {"prompt": "text"}, "subset": "sample", "num_samples": 1000},
    {"split": "train_sft", "formatting": "sharegpt", "columns": {"messages": "messages"}},
    {"folder": "en", "columns": {"prompt": "question", "response": "answer"}},
]


def write(folder: Path) -> dict[str, Any]:
    """Write the registry and its local files into a folder; returns the registry's content."""
    entries: dict[str, Any] = {}
    for name, (_, entry, rows) in LOCAL.items():
        entries[name] = entry
        path = folder / entry["file_name"]
        if path.suffix == ".json":
            path.write_text(json.dumps(rows, ensure_ascii=False, indent=1))
        elif path.suffix:
            lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
            path.write_text("\n".join(lines) + "\n")
        else:
            path.mkdir()
            for number in range(3):
                row = {"instruction": f"q{number}", "output": "a"}
                (path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    for number in range(80):
        entry = {"hf_hub_url": f"someone/set-{number}", **REST[number % len(REST)]}
        if number % 2:
            entry["ms_hub_url"] = f"another/set-{number}"
        if number % 5 == 0:
            entry["om_hub_url"] = f"third/set-{number}"
        entries[f"hub_{number}"] = entry
    entries["only_modelscope"] = {"ms_hub_url": "another/only"}
    entries["only_third"] = {"om_hub_url": "third/only"}
    entries["scripted"] = {"script_url": "scripted", "columns": ALPACA}
    entries["cloud"] = {"cloud_file_name": "s3://bucket/file.json"}
    pictures = {"messages": "messages", "images": "images"}
    entries["pictures"] = {"file_name": "p.json", "formatting": "sharegpt", "columns": pictures}
    entries["gone"] = {"file_name": "gone.json"}
    (folder / "dataset_info.json").write_text(json.dumps(entries, ensure_ascii=False, indent=2))
    return entries
