"""Services for choosing models: local folders, results of runs, hub models."""
