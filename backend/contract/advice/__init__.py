"""What to choose: recommended values with their sources, presets by purpose, ways to train."""
