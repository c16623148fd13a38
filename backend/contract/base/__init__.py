"""What everything stands on: the working folder, files, problems, texts, processes."""
