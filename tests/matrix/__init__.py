"""Every causal language model that the installed transformers knows, tiny and random, put through
training, reloading, merging and chat: `python -m tests.matrix` writes docs/models.md."""
