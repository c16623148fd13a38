"""The life of a run seen from its process: supervisor, group, report, failures."""
