"""Services of the Data tab: data sets, uploads, rows, tokens, cleaning."""
