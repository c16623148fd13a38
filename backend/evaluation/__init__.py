"""Loss and perplexity on a data set, and answers scored against labels."""
