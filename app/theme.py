"""How the page looks: Gradio's base theme, system fonts (nothing is fetched), a style sheet."""

from pathlib import Path

import gradio as gr

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans CJK SC", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.indigo,
    neutral_hue=gr.themes.colors.slate,
    font=_FONTS,
    font_mono=_MONO,
    radius_size=gr.themes.sizes.radius_md,
    spacing_size=gr.themes.sizes.spacing_sm,
)
CSS = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
HEAD = '<script src="own/app.js" defer></script>'
