"""Results for use elsewhere: merged weights, quantised ones, model cards, uploads."""
