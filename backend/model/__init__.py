"""Models: loading, adapters, quantization, optimizers, devices."""
