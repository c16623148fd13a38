"""What the page and the worker share: standard library and yaml only, no page, no torch."""
