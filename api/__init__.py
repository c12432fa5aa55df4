"""The ways in: HTTP, command line, workers and schedules."""
