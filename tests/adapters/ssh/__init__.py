"""Tests of the way into guests by SSH."""
