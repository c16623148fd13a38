"""Turn rows into training examples, with the columns that each stage learns from.

    pt, sft    input_ids, labels
    rm, dpo    chosen_input_ids, chosen_labels, rejected_input_ids, rejected_labels
    kto        input_ids, labels, kl_input_ids, kl_labels, desirable
    ppo, grpo  input_ids (the prompt), reference (text), messages (JSON text of the prompt)

and length (in tokens; of a pair that of the longer side). Labels are -100 where nothing is learned.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets import Features
from datasets import List as Listed
from datasets import Value as Column

from backend.data import tokens
from backend.data.rendering import RENDER_ERRORS, Template
from backend.data.spans import RenderedText, label_text, render_conversation
from backend.data.templates import bos_text
from backend.data.tokens import IGNORED, Encoded, Policy
from backend.datafiles import values
from backend.datafiles.formats import Conversation
from backend.datafiles.layouts import WANTED
from backend.datafiles.turns import Message, RowError

IDS = Listed(Column("int32"))
SIDES = {
    "text": {"input_ids": IDS, "labels": IDS},
    "answer": {"input_ids": IDS, "labels": IDS},
    "pair": dict.fromkeys(
        ("chosen_input_ids", "chosen_labels", "rejected_input_ids", "rejected_labels"), IDS
    ),
    "label": {
        **dict.fromkeys(("input_ids", "labels", "kl_input_ids", "kl_labels"), IDS),
        "desirable": Column("bool"),
    },
    "prompt": {
        "input_ids": IDS,
        "reference": Column("string"),
        "messages": Column("string"),
    },
}
# Of each example: tokens, learned tokens, whether it was cut, and the number of its row.
ACCOUNT = {
    "length": Column("int32"),
    "learned": Column("int32"),
    "cut": Column("bool"),
    "place": Column("int64"),
}

Example = dict[str, Any]
NumberedConversation = tuple[int, Conversation]


def columns(stage: str) -> list[str]:
    """The names of the columns for a stage."""
    return [*SIDES[WANTED[stage]], "length"]


def features(stage: str) -> Features:
    """The columns of a stage with their types, and those of the account."""
    return Features({**SIDES[WANTED[stage]], **ACCOUNT})


@dataclass
class ExampleBatch:
    """The examples of `rows` rows, and the rows (number, code of the reason) that gave none."""

    rows: int
    examples: list[Example] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Maker:
    """Makes the examples of one stage. It is picklable, for the processes that tokenize."""

    stage: str
    template: Template
    policy: Policy

    def __call__(self, rows: Sequence[NumberedConversation]) -> ExampleBatch:
        """Make the examples of some rows, in their order: none, one or several for each row.

        All texts are tokenized in one call, which a fast tokenizer spreads over the cores.
        """
        made = ExampleBatch(len(rows))
        texts: list[RenderedText] = []
        rendered_rows: list[tuple[int, Conversation, range]] = []
        for index, (place, conversation) in enumerate(rows):
            other = rows[(index + len(rows) // 2) % len(rows)][1]
            try:
                written_ = self._render_row(conversation, other)
            except RowError as error:
                made.refused.append((place, error.code))
                continue
            rendered_rows.append(
                (place, conversation, range(len(texts), len(texts) + len(written_)))
            )
            texts += written_
        parts: dict[int, list[Encoded]] = defaultdict(list)
        for part in tokens.encode(texts, self.template, self._uncut()):
            parts[part.text].append(part)
        for place, conversation, own in rendered_rows:
            try:
                examples = self._examples(
                    conversation, [part for text in own for part in parts[text]]
                )
            except RowError as error:
                made.refused.append((place, error.code))
                continue
            for example in examples:
                example["place"] = place
            made.examples += examples
        return made

    def _uncut(self) -> Policy:
        """The policy for tokenizing, without a cut; examples are cut afterwards."""
        everything = WANTED[self.stage] == "text" or self.policy.train_on_prompt
        return replace(self.policy, cutoff_len=sys.maxsize, train_on_prompt=everything)

    def _render_row(self, conversation: Conversation, other: Conversation) -> list[RenderedText]:
        """Render the texts of a row. other: another row, whose answer KTO's KL term needs."""
        wanted = WANTED[self.stage]
        if wanted == "text":
            return [RenderedText(self._render_text(conversation), [])]
        if wanted == "prompt":
            return [
                RenderedText(
                    self._render(conversation.asked, conversation, add_generation_prompt=True), []
                )
            ]
        if wanted == "pair":
            return [
                self._render_answer(conversation, conversation.chosen),
                self._render_answer(conversation, conversation.rejected),
            ]
        if wanted == "label":
            return [
                self._render_answer(conversation, conversation.answer),
                self._render_answer(conversation, other.answer),
            ]
        texts = render_conversation(
            self.template, conversation.messages, conversation.tools, self.policy.mask_history
        )
        if not self.policy.train_on_prompt and not any(s.learn for w in texts for s in w.spans):
            raise RowError("row_nothing_to_learn")
        return texts

    def _render_text(self, conversation: Conversation) -> str:
        """Render plain text between the tokenizer's begin and end, a dialogue by its template."""
        end = self.template.tokenizer.eos_token or ""
        if conversation.messages:
            text = self._render(conversation.messages, conversation)
            return text if end and text.rstrip().endswith(end) else text + end
        return bos_text(self.template.tokenizer) + conversation.text + end

    def _render(self, messages: list[Message], conversation: Conversation, **named: bool) -> str:
        try:
            return self.template.render(messages, conversation.tools, **named)
        except RENDER_ERRORS as error:
            raise RowError("row_template_refuses") from error

    def _render_answer(self, conversation: Conversation, answer: Message | None) -> RenderedText:
        """Render the prompt as in a chat, with this answer, which alone is learned."""
        assert answer is not None
        return render_conversation(
            self.template, [*conversation.asked, answer], conversation.tools, last_only=True
        )[-1]

    def _examples(self, conversation: Conversation, parts: list[Encoded]) -> list[Example]:
        """Make the examples of a row from its tokenized texts, within the cutoff length."""
        wanted, limit = WANTED[self.stage], self.policy.cutoff_len
        if wanted == "text":
            return [_example(piece) for piece in _pieces(parts[0], limit)]
        if wanted == "pair":
            return [_pair_example(*_fit_sides(parts, limit))]
        if wanted == "label":
            return [_kto_example(bool(conversation.label), parts, limit)]
        if wanted == "prompt":
            return [_prompt_example(conversation, parts[0].ids, limit)]
        examples = [_example(tokens.cut(part.ids, part.labels, limit)) for part in parts]
        if not any(example["learned"] for example in examples):
            raise RowError("row_cut_away")
        return [example for example in examples if example["learned"]]


def label(template: Template, conversation: Conversation, skip_special_tokens: bool) -> str:
    """The answer in the data as the model would write it (thought and calls as in the template),
    for comparison with a prediction; "" where there is none."""
    if conversation.answer is None:
        return ""
    answer = {name: value for name, value in conversation.answer.items() if name != "train"}
    try:
        texts = render_conversation(
            template, [*conversation.asked, answer], conversation.tools, last_only=True
        )
    except RowError:
        return label_text(conversation.answer)
    (part,) = tokens.encode(texts[-1:], template, Policy(sys.maxsize))
    ids = [each for each in part.labels if each != IGNORED]
    while ids and ids[-1] in template.stop_ids:
        ids.pop()
    return str(template.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


def _pieces(whole: Encoded, limit: int) -> list[Encoded]:
    """Cut a text into pieces of `limit` tokens; nothing is lost, and no piece is a single token."""
    ids = whole.ids
    if len(ids) < 2:
        raise RowError("row_nothing_to_learn")
    starts = list(range(0, len(ids), limit))
    if len(ids) - starts[-1] == 1 and len(starts) > 1:
        starts[-1] -= 1
    ends = [*starts[1:], len(ids)]
    pieces = [ids[start:end] for start, end in zip(starts, ends, strict=True)]
    return [Encoded(piece, [IGNORED, *piece[1:]]) for piece in pieces]


def _pair_example(sides: list[Encoded], cut: bool) -> Example:
    chosen, rejected = sides
    if chosen.ids == rejected.ids:
        raise RowError("row_cut_same")
    return {
        "chosen_input_ids": chosen.ids,
        "chosen_labels": chosen.labels,
        "rejected_input_ids": rejected.ids,
        "rejected_labels": rejected.labels,
        "length": max(len(chosen.ids), len(rejected.ids)),
        "learned": chosen.learned + rejected.learned,
        "cut": cut,
    }


def _kto_example(desirable: bool, parts: list[Encoded], limit: int) -> Example:
    (own,), cut = _fit_sides(parts[:1], limit)
    (other,), _ = _fit_sides(parts[1:], limit)
    return {
        **_example(own),
        "kl_input_ids": other.ids,
        "kl_labels": other.labels,
        "desirable": desirable,
        "length": max(len(own.ids), len(other.ids)),
        "cut": cut,
    }


def _prompt_example(conversation: Conversation, ids: list[int], limit: int) -> Example:
    prompt_ids = ids[-limit:]
    return {
        "input_ids": prompt_ids,
        "reference": label_text(conversation.answer) if conversation.answer else "",
        "messages": values.dumps(conversation.asked),
        "length": len(prompt_ids),
        "learned": 0,
        "cut": len(prompt_ids) < len(ids),
    }


def _fit_sides(sides: Sequence[Encoded], limit: int) -> tuple[list[Encoded], bool]:
    """Cut answers to one prompt to `limit` tokens; also returns whether anything was cut.

    The prompt (the same on all sides) loses its beginning so that the longest answer fits, or half
    of the limit is free for it; then answers lose their ends. Raises RowError where no answer
    remains.
    """
    asked = _count_shared(sides)
    longest = max(len(side.ids) for side in sides) - asked
    start = max(0, asked - max(limit - longest, limit // 2))
    fitted = [tokens.cut(side.ids[start:], side.labels[start:], limit) for side in sides]
    if not all(side.learned for side in fitted):
        raise RowError("row_cut_away")
    return fitted, start > 0 or any(side.cut for side in fitted)


def _count_shared(sides: Sequence[Encoded]) -> int:
    """Count the tokens before the answers that are the same on all sides."""
    count = 0
    for ids, labels in zip(
        zip(*(side.ids for side in sides), strict=False),
        zip(*(side.labels for side in sides), strict=False),
        strict=True,
    ):
        if len(set(ids)) > 1 or any(label != IGNORED for label in labels):
            break
        count += 1
    return count


def _example(encoded: Encoded) -> Example:
    return {
        "input_ids": encoded.ids,
        "labels": encoded.labels,
        "length": len(encoded.ids),
        "learned": encoded.learned,
        "cut": encoded.cut,
    }
