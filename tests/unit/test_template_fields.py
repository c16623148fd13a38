"""Which fields of messages and which variables a chat template reads, seen in its text alone."""

import importlib.util
from pathlib import Path

import jinja2
import pytest

from backend.data.template_fields import ANY, reads

LOOP = "{% for m in messages %}BODY{% endfor %}"
# A piece of a template, and the fields that it reads.
READS = {
    "dot": (LOOP.replace("BODY", "{{ m.content }}"), {"content"}),
    "brackets": (LOOP.replace("BODY", "{{ m['a'] ~ m[\"b\"] }}"), {"a", "b"}),
    "get": (LOOP.replace("BODY", "{{ m.get('a') or m.get('b', '') }}"), {"a", "b"}),
    "in": (LOOP.replace("BODY", "{% if 'a' in m and 'b' not in m %}x{% endif %}"), {"a", "b"}),
    "is defined": (LOOP.replace("BODY", "{% if m.a is defined %}x{% endif %}"), {"a"}),
    "index": ("{{ messages[0].a }}{{ messages[-1]['b'] }}", {"a", "b"}),
    "slice": ("{% for m in messages[1:][::-1] %}{{ m.a }}{% endfor %}", {"a"}),
    "set": ("{% set all = messages %}{% set m = all[0] %}{{ m.a }}", {"a"}),
    "set in a branch": (
        "{% if x %}{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}"
        "{% for m in turns %}{{ m.a }}{% endfor %}",
        {"a"},
    ),
    "namespace": (
        "{% set ns = namespace(last=messages[-1], other=none) %}{% set ns.other = messages[0] %}"
        "{{ ns.last.a }}{{ ns.other.b }}",
        {"a", "b"},
    ),
    "macro": (
        "{% macro say(x, y) %}{{ x.a }}{{ y.b }}{% endmacro %}"
        "{% for m in messages %}{{ say(m, y=messages[0]) }}{% endfor %}",
        {"a", "b"},
    ),
    "neighbors": (
        LOOP.replace("BODY", "{{ loop.previtem.a }}{% set n = loop.nextitem %}{{ n.b }}"),
        {"a", "b"},
    ),
    "filters": (
        "{{ (messages | first).a }}{{ (messages | rejectattr('role', 'eq', 'x') | list | last).b }}"
        "{{ messages | map(attribute='c') | join }}",
        {"a", "b", "c", "role"},
    ),
    "choice": ("{% set m = messages[0] if x else messages[1] %}{{ m.a }}", {"a"}),
    "default": ("{{ (messages[0] | default({})).a }}", {"a"}),
    "list of names": (
        "{% for m in messages %}{% for key in ['a', 'b'] %}{{ m[key] }}{% endfor %}{% endfor %}",
        {"a", "b"},
    ),
    "list of messages": ("{% for m in [messages[0]] + messages[2:] %}{{ m.a }}{% endfor %}", {"a"}),
    "named by a variable": (LOOP.replace("BODY", "{% set k = 'a' %}{{ m[k] }}"), {"a"}),
    "generation": (LOOP.replace("BODY", "{% generation %}{{ m.a }}{% endgeneration %}"), {"a"}),
    "loop controls": (
        LOOP.replace("BODY", "{% if m.a %}{% continue %}{% endif %}{{ m.b }}"),
        {"a", "b"},
    ),
    "others are not messages": (
        "{% for t in tools %}{{ t.a }}{% endfor %}" + LOOP.replace("BODY", "{{ m.content.b }}"),
        {"content"},
    ),
    "all": (LOOP.replace("BODY", "{{ m | tojson }}"), {ANY}),
    "keys": (LOOP.replace("BODY", "{% for k, v in m.items() %}{{ k }}{% endfor %}"), {ANY}),
    "given away": (LOOP.replace("BODY", "{{ dict(m, x=1).a }}"), {ANY}),
    "unknown name": (LOOP.replace("BODY", "{{ m[which] }}"), {ANY}),
}


@pytest.mark.parametrize("name", READS)
def test_the_fields_that_a_template_reads(name: str) -> None:
    jinja, fields = READS[name]
    assert set(reads(jinja).fields) == fields


def test_fields_that_are_ignored() -> None:
    assert reads("{{ messages[0].a }}").ignores("b")
    assert not reads("{{ messages[0].a }}").ignores("a")
    assert not reads("{{ messages[0] }}").ignores("b")


def test_the_variables() -> None:
    jinja = "{% if enable_thinking is defined and not enable_thinking %}{{ messages }}{% endif %}"
    assert reads(jinja).variables == {"enable_thinking", "messages"}


# A template, and the variables that its caller gives.
GIVEN = {
    "set before": ("{% set a = 1 %}{{ a }}", set()),
    "set in a branch": ("{% if x %}{% set a = 1 %}{% endif %}{{ a }}", {"x"}),
    "set in each branch": (
        "{% if x %}{% set a = 1 %}{% elif y %}{% set a = 2 %}{% else %}{% set a = 3 %}{% endif %}"
        "{% for m in a %}{{ m }}{{ loop.index }}{% else %}{{ a }}{% endfor %}",
        {"x", "y"},
    ),
    "set in the other branch": (
        "{% if x %}{% set a = 1 %}{% else %}{{ a }}{% endif %}",
        {"a", "x"},
    ),
    "a default": ("{% if a is not defined %}{% set a = true %}{% endif %}{{ a }}", {"a"}),
    "a default of itself": ("{% set a = a | default(1) %}{{ a }}", {"a"}),
    "loops": (
        "{% for m in messages if m %}{% set a = m %}{% if a %}{% set b = 1 %}{% endif %}{{ b }}"
        "{% endfor %}{% for k, v in x.items() %}{{ k }}{{ v }}{% endfor %}",
        {"messages", "x"},
    ),
    "only in a loop": ("{% for m in x %}{% set a = m %}{% endfor %}{{ a }}", {"a", "x"}),
    "macros": (
        "{% macro f(p, q=d) %}{% if p %}{% set a = q %}{% endif %}{{ a }}{{ later }}{{ y }}"
        "{{ varargs }}{{ caller() }}{% endmacro %}{% set later = 1 %}{{ f(x) }}",
        {"d", "y", "x"},
    ),
    "namespace": ("{% set ns = namespace(a=x) %}{% set ns.a = y %}{{ ns.a }}", {"x", "y"}),
    "blocks": (
        "{% set a %}{{ x }}{% endset %}{{ a }}{% with b = a %}{{ b }}{% endwith %}"
        "{% filter upper %}{{ y }}{% endfilter %}{% generation %}{{ z }}{% endgeneration %}",
        {"x", "y", "z"},
    ),
    "functions of jinja": ("{{ range(3) }}{{ dict() }}{{ cycler(1) }}{{ lipsum }}", set()),
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_variables_that_a_caller_gives(name: str) -> None:
    """meta.find_undeclared_variables of jinja2 3.1 names what is set in a branch among them."""
    jinja, variables = GIVEN[name]
    assert reads(jinja).variables == variables


def test_switches() -> None:
    """A text would be true to each of these."""
    on = (
        "{% if a %}x{% endif %}",
        "{{ 'x' if a is defined and not a }}",
        "{% if a is defined and a is false %}x{% endif %}",
        "{% if a == true %}{{ a }}{% endif %}",
        "{% set b = a | default(false) %}{{ b }}",
        "{% set b = a if a is defined else true %}{{ b }}",
        "{% if not a is defined %}{% set a = false %}{% endif %}{{ a }}",
    )
    off = (
        "{{ a }}",
        "{% if a %}{{ a }}{% endif %}",
        "{% if a is defined %}x{% endif %}",
        "{{ a or 'x' }}",
        "{{ a | default('x') }}",
        "{% if a == 'high' %}x{% endif %}",
        "{% if a is defined %}{% for t in a %}{{ t }}{% endfor %}{% endif %}",
        "{% set a = true %}{{ a }}",
    )
    assert [jinja for jinja in on if reads(jinja).switches != {"a"}] == []
    assert [jinja for jinja in off if reads(jinja).switches] == []


def test_what_is_no_template() -> None:
    with pytest.raises(jinja2.TemplateSyntaxError):
        reads("{% if")


def test_the_shipped_templates() -> None:
    """Read off trl 1.16's copies of the official templates by eye."""
    spec = importlib.util.find_spec("trl")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "chat_templates"

    def of(name: str) -> set[str]:
        return set(reads((folder / f"{name}.jinja").read_text(encoding="utf-8")).fields)

    plain = {"role", "content"}
    assert of("llama3") == of("gemma3") == of("phi3") == plain
    assert of("qwen2_5") == of("qwen3_instruct_2507") == {*plain, "tool_calls"}
    assert of("qwen3") == of("glm4moe") == {*plain, "tool_calls", "reasoning_content"}
    assert of("gptoss") == {*plain, "tool_calls", "thinking"}
    thoughts = {"thinking", "reasoning", "reasoning_content"}
    assert of("lfm2_2_5_v2") == {*plain, "tool_calls", *thoughts}
    assert of("gemma4") == {
        *plain,
        *("tool_calls", "tool_call_id", "tool_responses", "name"),
        *("reasoning", "reasoning_content"),
    }
