"""Models on a hub: searched for, downloaded with care, listed and removed."""
