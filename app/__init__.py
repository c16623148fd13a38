"""The page: Gradio on one process, never torch."""
