"""Tests of what a job may do."""
