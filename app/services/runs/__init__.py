"""Behind the run panel: runs, their charts and logs, hardware, child processes."""
