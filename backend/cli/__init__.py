"""What a terminal user types beside the workers: data, recipes, runs, starter."""
