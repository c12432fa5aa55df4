"""Tests of use cases and queries."""
