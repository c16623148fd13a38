"""Folders of runs: names, files, states, checkpoints, and how they are resumed."""
