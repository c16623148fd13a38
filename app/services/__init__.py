"""What the page knows about runs, models and the machine; no Gradio in here."""
