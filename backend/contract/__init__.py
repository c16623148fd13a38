"""What the page and the worker share: standard library, yaml and psutil only, no page, no torch."""
