"""The run panel and what starts, stops and resumes runs."""
