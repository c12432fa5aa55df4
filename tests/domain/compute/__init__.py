"""Tests of what a VPS may do."""
