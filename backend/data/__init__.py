"""From data sets to tokens with a loss mask: sources -> formats -> templates -> tokens."""
