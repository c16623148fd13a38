"""Results for use elsewhere: merged weights, quantized weights, model cards, uploads."""
