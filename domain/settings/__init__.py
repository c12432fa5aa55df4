"""Settings: the limits that operators set while the service runs."""
