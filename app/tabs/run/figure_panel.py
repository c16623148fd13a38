"""The figures of a stage (rewards, margins, KL...) in the run panel: a choice and their curves."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.i18n import Texts, has, say, t

AT_FIRST = 2  # so many figures are shown before the person chooses
MOST = 6


def draw(texts: Texts, prefix: str, parts: dict[str, Any]) -> None:
    """The components by name: stage (the box), pick, meaning, stage_chart."""
    with gr.Column(visible=False, elem_classes="run-stage") as parts["stage"]:
        pick = gr.Dropdown(
            choices=[],
            multiselect=True,
            max_choices=MOST,
            interactive=True,
            elem_id=f"{prefix}-run-pick",
            **say({"label": "panel.figures"}),
        )
        parts["pick"] = texts.add(pick, label="panel.figures")
        parts["meaning"] = gr.Markdown(
            elem_id=f"{prefix}-run-meaning", elem_classes="run-meaning", latex_delimiters=[]
        )
        chart = gr.Plot(
            show_label=False,
            container=False,
            elem_id=f"{prefix}-run-stage-chart",
            elem_classes="run-chart",
            **say({"label": "panel.figures"}),
        )
        parts["stage_chart"] = texts.add(chart, label="panel.figures")


def chosen(names: Sequence[str], picked: Sequence[str]) -> list[str]:
    """Those of `names` that the person picked; with none, the first few."""
    kept = [name for name in picked if name in names]
    return kept[:MOST] or list(names[:AT_FIRST])


def explanation(name: str) -> str:
    """The key of the text that explains a figure; rewards/margins has figure.rewards.margins."""
    return f"figure.{name.replace('/', '.')}"


def shown(names: Sequence[str], picked: Sequence[str], lang: str) -> dict[str, Any]:
    """Update arguments of all but the chart, for these figures of which some are picked."""
    lines = [f"`{name}` {t(key, lang)}" for name in picked if has(key := explanation(name))]
    return {
        "stage": {"visible": True},
        "pick": {"choices": list(names), "value": list(picked)},
        "meaning": {"value": "  \n".join(lines), "visible": bool(lines)},
    }
