"""What a person reads: texts by key and language, problems, text for a terminal, `--help`."""
