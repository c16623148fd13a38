"""Pieces of words that a tokenizer lacks, learned from a corpus and put behind its own."""
