"""What one row becomes: the columns of a data set, by the stage that learns from it.

    pt, sft    input_ids, labels
    rm, dpo    chosen_input_ids, chosen_labels, rejected_input_ids, rejected_labels
    kto        input_ids, labels, kl_input_ids, kl_labels, desirable
    ppo, grpo  input_ids (the prompt), reference (text), messages (JSON text of the prompt)

and length (tokens; of a pair the longer side). Labels are -100 where nothing is learned.
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
from backend.data.spans import Written, label_text, written
from backend.data.templates import begin
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
Numbered = tuple[int, Conversation]


def columns(stage: str) -> list[str]:
    """The names of the columns that a stage gets."""
    return [*SIDES[WANTED[stage]], "length"]


def features(stage: str) -> Features:
    """The columns of a stage with their types, and those of the account."""
    return Features({**SIDES[WANTED[stage]], **ACCOUNT})


@dataclass
class Made:
    """Examples of `rows` rows, and those rows (by number) that gave none, with the reason."""

    rows: int
    examples: list[Example] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Maker:
    """Rows to examples of one stage. Picklable: it travels to the processes that tokenise."""

    stage: str
    template: Template
    policy: Policy

    def __call__(self, rows: Sequence[Numbered]) -> Made:
        """The examples of some rows, in their order: none, one or several a row.

        All texts are tokenised in one call, which a fast tokenizer spreads over the cores.
        """
        made = Made(len(rows))
        texts: list[Written] = []
        rendered_rows: list[tuple[int, Conversation, range]] = []
        for index, (place, conversation) in enumerate(rows):
            other = rows[(index + len(rows) // 2) % len(rows)][1]
            try:
                written_ = self._written(conversation, other)
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
            made.examples += [{**example, "place": place} for example in examples]
        return made

    def _uncut(self) -> Policy:
        """How the texts are tokenised; they are cut afterwards."""
        everything = WANTED[self.stage] == "text" or self.policy.train_on_prompt
        return replace(self.policy, cutoff_len=sys.maxsize, train_on_prompt=everything)

    def _written(self, conversation: Conversation, other: Conversation) -> list[Written]:
        """The texts of a row. `other` is another row: KTO's KL term wants its answer."""
        wanted = WANTED[self.stage]
        if wanted == "text":
            return [Written(self._plain(conversation), [])]
        if wanted == "prompt":
            return [
                Written(
                    self._rendered(conversation.asked, conversation, add_generation_prompt=True), []
                )
            ]
        if wanted == "pair":
            return [
                self._answered(conversation, conversation.chosen),
                self._answered(conversation, conversation.rejected),
            ]
        if wanted == "label":
            return [
                self._answered(conversation, conversation.answer),
                self._answered(conversation, other.answer),
            ]
        texts = written(
            self.template, conversation.messages, conversation.tools, self.policy.mask_history
        )
        if not self.policy.train_on_prompt and not any(s.learn for w in texts for s in w.spans):
            raise RowError("row_nothing_to_learn")
        return texts

    def _plain(self, conversation: Conversation) -> str:
        """A text between the tokenizer's own begin and end; a dialogue as its template has it."""
        end = self.template.tokenizer.eos_token or ""
        if conversation.messages:
            text = self._rendered(conversation.messages, conversation)
            return text if end and text.rstrip().endswith(end) else text + end
        return begin(self.template.tokenizer) + conversation.text + end

    def _rendered(self, messages: list[Message], conversation: Conversation, **named: bool) -> str:
        try:
            return self.template.render(messages, conversation.tools, **named)
        except RENDER_ERRORS as error:
            raise RowError("row_template_refuses") from error

    def _answered(self, conversation: Conversation, answer: Message | None) -> Written:
        """The question as it is asked when chatting, and this answer, which alone is learned."""
        assert answer is not None
        return written(
            self.template, [*conversation.asked, answer], conversation.tools, last_only=True
        )[-1]

    def _examples(self, conversation: Conversation, parts: list[Encoded]) -> list[Example]:
        """The examples of a row from its tokenised texts, within the cutoff length."""
        wanted, limit = WANTED[self.stage], self.policy.cutoff_len
        if wanted == "text":
            return [_example(piece) for piece in _pieces(parts[0], limit)]
        if wanted == "pair":
            return [_pair(*_fitted(parts, limit))]
        if wanted == "label":
            return [_judged(bool(conversation.label), parts, limit)]
        if wanted == "prompt":
            return [_prompt(conversation, parts[0].ids, limit)]
        examples = [_example(tokens.cut(part, limit)) for part in parts]
        if not any(example["learned"] for example in examples):
            raise RowError("row_cut_away")
        return [example for example in examples if example["learned"]]


def label(template: Template, conversation: Conversation, skip_special_tokens: bool) -> str:
    """The answer in the data as the model would say it (its thought and calls as the template
    writes them), to be compared with a prediction; "" where there is none."""
    if conversation.answer is None:
        return ""
    answer = {name: value for name, value in conversation.answer.items() if name != "train"}
    try:
        texts = written(template, [*conversation.asked, answer], conversation.tools, last_only=True)
    except RowError:
        return label_text(conversation.answer)
    (part,) = tokens.encode(texts[-1:], template, Policy(sys.maxsize))
    ids = [each for each in part.labels if each != IGNORED]
    while ids and ids[-1] in template.stop_ids:
        ids.pop()
    return str(template.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))


def _pieces(whole: Encoded, limit: int) -> list[Encoded]:
    """A text in pieces of `limit` tokens: nothing is lost, and no piece is one token alone."""
    ids = whole.ids
    if len(ids) < 2:
        raise RowError("row_nothing_to_learn")
    starts = list(range(0, len(ids), limit))
    if len(ids) - starts[-1] == 1 and len(starts) > 1:
        starts[-1] -= 1
    ends = [*starts[1:], len(ids)]
    pieces = [ids[start:end] for start, end in zip(starts, ends, strict=True)]
    return [Encoded(piece, [IGNORED, *piece[1:]]) for piece in pieces]


def _pair(sides: list[Encoded], cut: bool) -> Example:
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


def _judged(desirable: bool, parts: list[Encoded], limit: int) -> Example:
    (own,), cut = _fitted(parts[:1], limit)
    (other,), _ = _fitted(parts[1:], limit)
    return {
        **_example(own),
        "kl_input_ids": other.ids,
        "kl_labels": other.labels,
        "desirable": desirable,
        "length": max(len(own.ids), len(other.ids)),
        "cut": cut,
    }


def _prompt(conversation: Conversation, ids: list[int], limit: int) -> Example:
    prompt_ids = ids[-limit:]
    return {
        "input_ids": prompt_ids,
        "reference": label_text(conversation.answer) if conversation.answer else "",
        "messages": values.dumps(conversation.asked),
        "length": len(prompt_ids),
        "learned": 0,
        "cut": len(prompt_ids) < len(ids),
    }


def _fitted(sides: Sequence[Encoded], limit: int) -> tuple[list[Encoded], bool]:
    """Answers to one question within `limit` tokens, and whether something was cut.

    The longest answer has its room, or half of it where the question is long: the question (the
    same on all sides) loses its beginning, then the answers lose their ends. Raises RowError where
    no answer remains.
    """
    asked = _shared(sides)
    longest = max(len(side.ids) for side in sides) - asked
    start = max(0, asked - max(limit - longest, limit // 2))
    fitted = [tokens.cut(Encoded(side.ids[start:], side.labels[start:]), limit) for side in sides]
    if not all(side.learned for side in fitted):
        raise RowError("row_cut_away")
    return fitted, start > 0 or any(side.cut for side in fitted)


def _shared(sides: Sequence[Encoded]) -> int:
    """How many tokens in front of the answers are the same on all sides."""
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
