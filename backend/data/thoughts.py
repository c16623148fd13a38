"""Pass a message's thought (its reasoning) to a template, under the names that the template reads.

Rows and clients call it reasoning_content, thinking or reasoning. A template gets it under each of
these names that it reads (transformers does so, too). For a template that reads none of them but
has </think>, an answer that is learned has the thought in its content, as such models write it.
"""

from backend.data.template_fields import Reads
from backend.datafiles.turns import THOUGHTS, Message, find_thought

THINK, END_THINK = "<think>", "</think>"


def name_thought(message: Message, reads: Reads) -> Message:
    """The message with its thought under each of its names that the template reads."""
    thought = find_thought(message)
    names = [name for name in THOUGHTS if not reads.ignores(name)] if thought else []
    return {**message, **{name: message.get(name) or thought for name in names}}


def put_in_content(message: Message) -> Message:
    """The message with its thought at the begin of its content, between THINK and END_THINK."""
    thought = find_thought(message).strip("\n")
    if not thought or END_THINK in message["content"]:
        return message
    rest = {name: value for name, value in message.items() if name not in THOUGHTS}
    return {**rest, "content": f"{THINK}\n{thought}\n{END_THINK}\n\n{message['content']}"}


def remove_thought(message: Message) -> Message:
    """The message without its thought, wherever that stands."""
    rest = {name: value for name, value in message.items() if name not in THOUGHTS}
    thought, end, answer = str(rest["content"]).partition(END_THINK)
    if end and thought.lstrip().startswith(THINK):
        rest["content"] = answer.lstrip("\n")
    return rest
