"""Behind the Data tab: sets, uploads, rows, inspection, cleaning."""
