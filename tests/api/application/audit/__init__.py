"""Tests of the audit's parts."""
