"""Cleaning and splitting of data sets: always into new registered sets, with a report.

rows       the rows of a set with what training reads from each
steps      what may be wrong with a row: the questions that a cleaning asks, in order
patterns   a person's regular expression, under a time limit
tidy       control characters, line ends, white space around texts
duplicates exact and near duplicates (MinHash), also between two sets
lengths    tokens of a row, counted by the code that trains
report     what was read, kept and removed, and why
output     the new files: they appear whole, with their entries, or not at all
run        a cleaning and a split from begin to end
"""
