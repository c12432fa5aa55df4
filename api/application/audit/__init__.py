"""The audit: what is recorded is looked at as a whole."""
