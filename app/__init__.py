"""The page: Gradio in one process, without torch."""
