#!/usr/bin/env bash
# tokenizers 0.23.3 (Tokenizer.add_tokens).
# Guess: adding a word that is already in the vocabulary changes nothing: it returns 0, the number
#   of new tokens, and texts are split as before.
# Seen: the vocabulary does not grow, but the call returns 1, and from then on the word is cut out
#   wherever its letters stand, before the merges: "other" was one token and is three, and a space
#   before the word is a token of its own. A list of terms that is added before fine-tuning thus
#   splits the words that hold one of them, also where no row is added to the embeddings.
#   single_word=True keeps other words whole, but not the space.
# Output (text, before, after, and after with single_word=True):
#   returned 1, vocabulary 270 and 270
#   other       other            o the r          other
#   the other   the Ġother       the Ġ o the r    the Ġother
#   by the      b y Ġthe         b y Ġ the        b y Ġ the
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tokenizers==0.23.3
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, show_progress=False, initial_alphabet=letters)
    tokenizer.train_from_iterator(["the other mother gathered there the other"] * 50, trainer)
    return tokenizer


before, after, single = train(), train(), train()
number = after.add_tokens(["the"])
single.add_tokens([AddedToken("the", single_word=True)])
print(f"returned {number}, vocabulary {before.get_vocab_size()} and {after.get_vocab_size()}")
seen = []
for text in ("other", "the other", "by the"):
    row = [" ".join(each.encode(text).tokens) for each in (before, after, single)]
    print("{:10}  {:15}  {:15}  {}".format(text, *row))
    seen += row
assert number == 1 and before.get_vocab_size() == after.get_vocab_size(), number
assert seen[:3] == ["other", "o the r", "other"], seen
assert seen[3:6] == ["the Ġother", "the Ġ o the r", "the Ġother"], seen
assert seen[6:] == ["b y Ġthe", "b y Ġ the", "b y Ġ the"], seen
PYTHON
