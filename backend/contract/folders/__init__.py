"""The working folder with data/ and saves/, and the folders that ship with the code."""
