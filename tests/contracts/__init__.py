"""What every adapter of a port must keep to, run on real and simulated ones alike."""
