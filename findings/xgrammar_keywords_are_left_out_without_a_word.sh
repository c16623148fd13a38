#!/usr/bin/env bash
# xgrammar 0.2.9 (GrammarCompiler.compile_json_schema, as engines with structured outputs call it).
# Guess: an answer that the grammar lets pass is valid by the schema, but for keywords of which it warns,
#   and what is valid by the schema can be written.
# Seen: enum and const are all that is read where they stand, even beside a type that excludes a value;
#   what stands beside $ref or anyOf is left out, and so are not, uniqueItems, contains,
#   dependentRequired, if and then; a required name counts only where properties has it, too. None of
#   these warns. A number without a type is unbounded. The other way round: with a maxLength a text can
#   hold no escape, hence no line break and no quotation mark, however short it is.
# Output (keyword, text, may be written, valid):
#   enum beside type           "a"         True   False
#   minimum beside $ref        3           True   False
#   required beside anyOf      {}          True   False
#   minimum without type       3           True   False
#   uniqueItems                [1, 1]      True   False
#   contains                   [1]         True   False
#   not                        "a"         True   False
#   dependentRequired          {"a": 1}    True   False
#   if and then                {"a": 1}    True   False
#   required, no property      {"a": 1}    True   False
#   maxLength 100              "a\nb"      False  True
#   no maxLength               "a\nb"      True   True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q xgrammar==0.2.9 torch==2.13.0 transformers==5.23.0 jsonschema==4.26.0
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import json

import jsonschema
import xgrammar

END = 128
LETTERS = [chr(code) for code in range(END)] + ["</s>"]
WHOLE = {"type": "integer"}
MAP = {"type": "object", "properties": {"a": WHOLE, "b": WHOLE}}
ROWS = [
    ("enum beside type", {"type": "integer", "enum": [1, "a"]}, '"a"', True),
    ("minimum beside $ref", {"$ref": "#/$defs/n", "minimum": 5, "$defs": {"n": WHOLE}}, "3", True),
    ("required beside anyOf", {**MAP, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "{}", True),
    ("minimum without type", {"minimum": 5}, "3", True),
    ("uniqueItems", {"type": "array", "items": WHOLE, "uniqueItems": True}, "[1, 1]", True),
    ("contains", {"type": "array", "items": WHOLE, "contains": {"const": 5}}, "[1]", True),
    ("not", {"type": "string", "not": {"const": "a"}}, '"a"', True),
    ("dependentRequired", {**MAP, "dependentRequired": {"a": ["b"]}}, '{"a": 1}', True),
    ("if and then", {**MAP, "if": {"required": ["a"]}, "then": {"required": ["b"]}}, '{"a": 1}', True),
    ("required, no property", {**MAP, "required": ["c"]}, '{"a": 1}', True),
    ("maxLength 100", {"type": "string", "maxLength": 100}, r'"a\nb"', False),
    ("no maxLength", {"type": "string"}, r'"a\nb"', True),
]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(LETTERS, stop_token_ids=[END]))


def may_write(schema: dict, text: str) -> bool:
    """Whether a model that is held to the schema may write the text and end there."""
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return all(matcher.accept_token(token) for token in [*map(ord, text), END])


for name, schema, text, wanted in ROWS:
    valid = jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
    written = may_write(schema, text)
    print(f"{name:<26} {text:<11} {written!s:<6} {valid}")
    assert written is wanted and valid is ("maxLength" in name), name
PYTHON
