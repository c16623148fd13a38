"""The look of the page: Gradio's base theme, system fonts (no downloads)."""

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
).set(  # contrast of at least 4.5 : 1
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_500",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
)
# Gradio sets light or dark when it is loaded, and adds this after that.
HEAD = '<script type="module" src="own/browser/theme.js"></script>'
