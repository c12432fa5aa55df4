"""Tests of played hosts and guests."""
