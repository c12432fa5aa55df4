"""SSH keys over HTTP."""
