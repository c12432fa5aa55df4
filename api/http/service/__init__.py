"""The service itself over HTTP: whether it is fit to serve, and what it offers."""
