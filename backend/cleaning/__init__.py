"""Clean and split data sets, always into new registered sets with a report.

rows       the rows of a set with what training reads from each
steps      the steps of a cleaning, each of which may remove rows
patterns   a person's regular expression, under a time limit
normalize  control characters, line ends, white space around texts
duplicates exact and near duplicates (MinHash), also between two sets
lengths    tokens of a row, counted by the code that trains
report     rows that were read, kept and removed, with the reasons
output     the new files, which appear whole, with their entries, or not at all
run        a cleaning and a split from begin to end
"""
