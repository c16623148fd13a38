"""The services of the page: data sets, models, runs and the machine, without Gradio."""
