"""Starting a run or a recipe of several, detached from who started it."""
