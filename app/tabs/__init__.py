"""The tabs; they do not know each other."""
