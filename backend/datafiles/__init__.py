"""Light readers of data files; nothing of torch, transformers or datasets is in here."""
