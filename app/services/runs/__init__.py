"""Services of the run panel: runs, their charts and logs, fixes, recipes, hardware."""
