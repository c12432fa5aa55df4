"""Adapters that keep everything in this process's memory, for properties that try thousands of cases."""
