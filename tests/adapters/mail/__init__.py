"""Tests of handing over mail."""
