"""Tests of the read models and of what keeps them true."""
