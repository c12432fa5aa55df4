"""The command line: what operators type."""
