"""What spans subjects: presets, and what has changed since the page looked."""
