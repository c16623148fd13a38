"""Results for use elsewhere: merged weights, quantised weights, model cards, uploads."""
