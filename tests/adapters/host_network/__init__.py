"""Tests of the network of guests."""
