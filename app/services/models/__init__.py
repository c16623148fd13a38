"""Models that can be chosen."""
