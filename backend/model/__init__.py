"""Models: loading, adapters, quantisation, optimisers, devices."""
