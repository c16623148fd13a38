"""New pieces for a language that the vocabulary lacks: old ids stay, texts get shorter, rows begin
as the mean of what stood there before. The kinds of tokenizers are those that models come with."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from backend.contract.arguments.arguments import parse, resolve
from backend.contract.arguments.field import Values
from backend.contract.folders.home import resource_folder
from backend.contract.texts.problems import (
    DataError,
    ModelError,
    TuneboardError,
    UsageError,
    errors,
)
from backend.vocabulary import vocab
from tests.backend import tokenizer_kinds
from tests.backend.conftest import write_dataset
from tests.backend.training import train_small

OLD = [
    str(row["output"])
    for row in json.loads((resource_folder("data") / "general_en.json").read_text())
]
ROWS = json.loads((resource_folder("data") / "general_zh.json").read_text(encoding="utf-8"))
TEXTS = [{"text": "".join(row.values())} for row in ROWS]


def extended(home: Path, model: Path, **given: Any) -> Path:
    """The folder that `tuneboard vocab` writes."""
    if not (home / "data" / "zh.json").exists():
        write_dataset(home, "zh", TEXTS)
    raw = {
        "model_name_or_path": str(model),
        "dataset": "zh",
        "dataset_dir": str(home / "data"),
        "export_dir": str(home / "saves" / "wide"),
        "new_pieces": 300,
        "fit_steps": 4,
        **given,
    }
    values, problems = parse(raw, "vocab")
    assert not errors(problems)
    run(values, home)
    return home / "saves" / "wide"


def run(values: Values, home: Path) -> None:
    folder = home / "saves" / "run"
    folder.mkdir(exist_ok=True)
    vocab.run(resolve(values), folder)


def problem_of(home: Path, model: Path, kind: type[TuneboardError], **given: Any) -> str:
    """The code of the problem that a run ends with; nothing is left of it."""
    with pytest.raises(kind) as caught:
        extended(home, model, **given)
    assert not list((home / "saves").glob("*wide*"))
    return caught.value.problems[0].code


def with_tokenizer(folder: Path, tokenizer: Any, rows: int, **config: Any) -> Path:
    """A tiny random model with this tokenizer and so many rows of embeddings."""
    from transformers import GPTJConfig, GPTJForCausalLM, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if config.pop("biased", False):  # GPT-J adds a bias to each logit
        small = GPTJConfig(
            vocab_size=rows, n_embd=32, n_layer=1, n_head=2, rotary_dim=8, n_positions=128, **config
        )
        model = GPTJForCausalLM(small)
        torch.nn.init.normal_(model.lm_head.bias)
    else:
        small = LlamaConfig(
            vocab_size=rows,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            **config,
        )
        model = LlamaForCausalLM(small)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def in_between(kind: str) -> Any:
    """A tokenizer whose added tokens have the ids behind its vocabulary, as Qwen's have."""
    made = tokenizer_kinds.make(kind, ["<|im_start|>", "<|im_end|>"], "{{ messages }}")
    made.add_tokens(["plumbus"])
    return made


def load_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def assert_kept(model: Path, wide: Path) -> tuple[Any, Any]:
    """Old ids, special tokens and settings are as they were; no old text gets longer."""
    before, after = (AutoTokenizer.from_pretrained(each) for each in (model, wide))
    vocabulary = after.get_vocab()
    assert before.get_vocab().items() <= vocabulary.items()
    assert len(set(vocabulary.values())) == len(vocabulary)
    assert before.special_tokens_map == after.special_tokens_map
    assert before.chat_template == after.chat_template
    for text in [*OLD, "<|im_start|>user\n  1234 plumbus<|im_end|>\r\n\té 🙂 ﬁ"]:
        old, new = (each(text)["input_ids"] for each in (before, after))
        assert len(new) <= len(old)
        assert after.decode(new) == before.decode(old)
    return before, after


@pytest.mark.parametrize("kind", ["gpt2", "qwen", "gemma", "llama2", "mistral", "phi3"])
def test_old_ids_stay_and_texts_get_shorter(kind: str, workspace: Path) -> None:
    """With added tokens behind the vocabulary: read from a tokenizer.json with more pieces before
    them, tokenizers 0.23 gave these the ids of new pieces. Two rows were padding."""
    tokenizer = in_between(kind)
    last = max(tokenizer.get_vocab().values())
    model = with_tokenizer(workspace / "base", tokenizer, last + 3, tie_word_embeddings=True)
    wide = extended(workspace, model)
    before, after = assert_kept(model, wide)
    new = after.get_vocab().keys() - before.get_vocab().keys()
    assert {after.get_vocab()[each] for each in new} == set(range(last + 1, last + 301))
    report = load_json(wide / "new_pieces.json")
    held = report["held_out"]
    assert held["gain"] > 1.3
    assert held["characters_per_token_after"] > held["characters_per_token_before"]
    assert report["known"]["tokens_after"] <= report["known"]["tokens_before"]
    for text in (row["text"] for row in TEXTS):
        assert after.decode(after(text, add_special_tokens=False)["input_ids"]).strip() == text


def pieces_before(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@pytest.mark.parametrize("given", [{}, {"tie_word_embeddings": True}, {"biased": True}])
def test_rows_begin_as_the_mean_of_old_pieces(given: dict[str, Any], workspace: Path) -> None:
    """Input and output rows, and biases; what was there stays to the bit, in its own dtype."""
    tokenizer = in_between("qwen")
    rows = len(tokenizer)
    model = with_tokenizer(workspace / "base", tokenizer, rows, dtype="bfloat16", **given)
    base = AutoModelForCausalLM.from_pretrained(model, dtype="auto").bfloat16()
    base.save_pretrained(model)
    wide = extended(workspace, model, fit_steps=0)
    found = AutoModelForCausalLM.from_pretrained(wide, dtype="auto")
    assert found.dtype == torch.bfloat16
    after = AutoTokenizer.from_pretrained(wide)
    tied = bool(given.get("tie_word_embeddings"))
    ends = [(base.get_input_embeddings(), found.get_input_embeddings())]
    heads = (base.get_output_embeddings(), found.get_output_embeddings())
    assert (heads[1].weight is ends[0][1].weight) == tied
    ends += [] if tied else [heads]
    seen = 0
    for old, new in ends:
        assert new.weight.shape[0] == -(-(rows + 300) // 64) * 64
        assert torch.equal(new.weight[:rows], old.weight)
        for piece in load_json(wide / "new_pieces.json")["pieces"]:
            number, *more = pieces_before(after, piece)
            if "\ufffd" in piece or more:
                continue
            assert number >= rows
            parts = pieces_before(tokenizer, piece)
            assert len(parts) > 1
            mean = old.weight[parts].float().mean(0).bfloat16()
            assert torch.equal(new.weight[number], mean)
            if getattr(old, "bias", None) is not None:
                assert torch.equal(new.bias[number], old.bias[parts].float().mean(0).bfloat16())
            seen += 1
    assert seen >= 40 * len(ends)


def misread(base: Path, wide: Path, texts: list[str], depth: int) -> float:
    """How far the hidden states after tokens in new pieces are from those in old ones, relative to
    the latter: a mean over texts that begin with the token in which texts begin."""
    model = AutoModelForCausalLM.from_pretrained(wide, dtype=torch.float32)
    before, after = (AutoTokenizer.from_pretrained(each) for each in (base, wide))
    begin = [before.bos_token_id if before.bos_token_id is not None else before.eos_token_id]
    errors = []
    for text in texts:
        ids = after(text, add_special_tokens=False)["input_ids"]
        begun = {end: after.decode(ids[:end]) for end in range(1, len(ids) + 1)}
        whole = {end: part for end, part in begun.items() if "\ufffd" not in part}
        ends = [len(pieces_before(before, part)) for part in whole.values()]
        states = []
        for tokens in (pieces_before(before, text), ids):
            with torch.no_grad():
                passed = model(torch.tensor([begin + tokens]), output_hidden_states=True)
            states.append(passed.hidden_states[depth][0])
        old, new = states[0][ends], states[1][list(whole)]
        errors.append(((new - old).pow(2).sum(-1) / old.pow(2).sum(-1)).mean().item())
    return sum(errors) / len(errors)


@pytest.mark.parametrize("given", [{}, {"tie_word_embeddings": True}, {"biased": True}])
def test_fitting_moves_new_rows_only_and_the_layers_read_them_better(
    given: dict[str, Any], workspace: Path
) -> None:
    """Compared with the means, in the hidden states of transformers' own forward pass."""
    tokenizer = in_between("qwen")
    model = with_tokenizer(workspace / "base", tokenizer, len(tokenizer), **given)
    folders = [
        extended(
            workspace, model, export_dir=str(workspace / "saves" / f"w{steps}"), fit_steps=steps
        )
        and workspace / "saves" / f"w{steps}"
        for steps in (0, 60)
    ]
    means, fitted = (AutoModelForCausalLM.from_pretrained(each).state_dict() for each in folders)
    changed = {name for name, weights in means.items() if not torch.equal(weights, fitted[name])}
    assert changed
    for name in changed:
        rows = (means[name] != fitted[name]).any(-1).nonzero().flatten()
        assert len(tokenizer) <= rows.min()
        assert rows.max() < len(tokenizer) + 300
    held = [row["text"][:40] for row in TEXTS[1::20]]
    errors = [misread(model, folder, held, 1) for folder in folders]
    assert errors[1] < 0.5 * errors[0], errors
    figures = load_json(folders[1] / "new_pieces.json")
    assert figures["perplexity_before"] > 1
    assert figures["perplexity_after"] > 1


@pytest.mark.parametrize("kind", ["words", "pairs"])
def test_llama_3_takes_a_word_of_the_vocabulary_as_it_is(kind: str, workspace: Path) -> None:
    """`ignore_merges`: a word that is a piece is never split, whatever merges there are; files of
    tokenizers before 0.20 write a merge as one text."""
    raw = json.loads(tokenizer_kinds.make("qwen", [], None).backend_tokenizer.to_str())
    raw["model"]["ignore_merges"] = kind == "words"
    if kind == "pairs":
        raw["model"]["merges"] = [" ".join(pair) for pair in raw["model"]["merges"]]
    tokenizer = tokenizer_kinds.make("qwen", [], None)
    model = with_tokenizer(workspace / "base", tokenizer, 600)
    (model / "tokenizer.json").write_text(json.dumps(raw))
    wide = extended(workspace, model)
    assert_kept(model, wide)
    made = load_json(wide / "tokenizer.json")["model"]
    assert {type(each) for each in made["merges"]} == {str if kind == "pairs" else list}
    assert bool(made.get("ignore_merges")) == (kind == "words")
    assert load_json(wide / "new_pieces.json")["held_out"]["gain"] > 1.3


def test_other_writings_of_the_vocabulary_are_right_or_gone(workspace: Path) -> None:
    """vocab.json and merges.txt, from which GPT-2's own class reads without tokenizer.json; a
    tokenizer.model beside it, which llama.cpp and vLLM may prefer, is left out and named."""
    from transformers import GPT2Tokenizer

    tokenizer = in_between("gpt2")
    model = with_tokenizer(workspace / "base", tokenizer, 640)
    tokenizer.backend_tokenizer.model.save(str(model))
    settings = {**load_json(model / "tokenizer_config.json"), "tokenizer_class": "GPT2Tokenizer"}
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    (model / "tokenizer.model").write_bytes(b"old")
    wide = extended(workspace, model)
    assert not (wide / "tokenizer.model").exists()
    told = load_json(workspace / "saves" / "run" / "status.json")["notices"]
    expected = {"vocab_removed", "vocab_made", "vocab_gain", "vocab_cost", "vocab_fitted"}
    assert expected == {n["code"] for n in told}
    _, after = assert_kept(model, wide)
    plain = GPT2Tokenizer(str(wide / "vocab.json"), str(wide / "merges.txt"))
    seen = 0
    for row in TEXTS:
        ids = pieces_before(after, row["text"])
        assert plain.backend_tokenizer.model.tokenize is not None
        assert pieces_before(plain, row["text"]) == ids
        seen += any(each >= 520 for each in ids)
    assert seen > 100


def test_all_else_of_the_base_stays(workspace: Path, tiny_model_dir: Path) -> None:
    """Settings, chat template, license, generation settings, and tensors outside of the rows."""
    model = workspace / "base"
    shutil.copytree(tiny_model_dir, model)
    (model / "LICENSE").write_text("ours")
    (model / "chat_template.jinja").write_text("{{ messages }} ü")
    wide = extended(workspace, model)
    same = ("LICENSE", "chat_template.jinja", "tokenizer_config.json", "generation_config.json")
    for name in same:
        assert (wide / name).read_bytes() == (model / name).read_bytes()
    configs = [load_json(each / "config.json") for each in (model, wide)]
    rows = configs[0].pop("vocab_size")
    assert configs[1].pop("vocab_size") == -(-(rows + 300) // 64) * 64
    assert configs[0] == configs[1]
    old, new = (AutoModelForCausalLM.from_pretrained(each) for each in (model, wide))
    rest = [name for name, _ in old.named_parameters() if "embed" not in name]
    assert len(rest) > 10
    assert all(torch.equal(old.state_dict()[each], new.state_dict()[each]) for each in rest)
    result = train_small(workspace, wide, stage="pt", finetuning_type="full")
    assert not (result / "new_pieces.json").exists()
    assert len(AutoTokenizer.from_pretrained(result)) == rows + 300


def test_what_cannot_be_extended_is_said_and_nothing_is_left(
    workspace: Path, tiny_model_dir: Path
) -> None:
    write_dataset(workspace, "short", [{"text": "天气"}])
    write_dataset(workspace, "dull", [{"text": "a"}, {"text": "b"}, {"text": "c"}])
    model = tiny_model_dir
    assert problem_of(workspace, model, DataError, new_pieces=90_000) == "vocab_too_few"
    assert problem_of(workspace, model, DataError, dataset="short") == "vocab_corpus_small"
    assert problem_of(workspace, model, DataError, dataset="dull") == "vocab_nothing_new"
    assert problem_of(workspace, model, DataError, dataset="nosuch") == "dataset_unknown"
    taken = workspace / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    code = problem_of(workspace, model, UsageError, export_dir=str(taken))
    assert code == "export_dir_not_empty"
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]


def test_a_token_that_would_be_read_within_words_is_refused(workspace: Path) -> None:
    """A character falls back to bytes where the vocabulary lacks it: tokenizers 0.23 looks there
    first, and Llama 2's reads an added one at the beginning of a text only."""
    for number, (kind, wrong) in enumerate((("llama2", True), ("gemma", False), ("gpt2", False))):
        tokenizer = in_between(kind)
        tokenizer.add_tokens(["国", "plumbus é"])
        model = with_tokenizer(workspace / f"base{number}", tokenizer, len(tokenizer))
        if wrong:
            assert problem_of(workspace, model, ModelError) == "vocab_unread"
            continue
        extended(workspace, model, export_dir=str(workspace / "saves" / f"wide{number}"))
        wide = workspace / "saves" / f"wide{number}"
        before, after = (AutoTokenizer.from_pretrained(each) for each in (model, wide))
        for text in ("中国人", "hi国", "国"):
            ids = after(text, add_special_tokens=False)["input_ids"]
            assert str(after.decode(ids)).strip() == text
            assert len(ids) <= len(before(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram", "suffix", "no bytes"])
def test_other_kinds_of_tokenizers_are_refused_in_words(kind: str, workspace: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate("abcdef")}
    made = {
        "WordPiece": models.WordPiece({"[UNK]": 6, **letters}, unk_token="[UNK]"),
        "Unigram": models.Unigram([(letter, -1.0) for letter in letters], unk_id=0),
        "suffix": models.BPE(letters, [], unk_token="a", end_of_word_suffix="</w>"),
        "no bytes": models.BPE(letters, [], unk_token="a"),
    }
    raw = Tokenizer(made[kind])
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="f")
    model = with_tokenizer(workspace / "base", tokenizer, 64)
    code = problem_of(workspace, model, ModelError)
    assert code == ("vocab_no_bytes" if kind == "no bytes" else "vocab_kind")
