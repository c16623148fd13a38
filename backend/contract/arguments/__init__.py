"""Every argument: its row, its rules, its foreign names, and the typed object."""
