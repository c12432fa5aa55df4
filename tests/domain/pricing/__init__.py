"""Tests of plans and prices."""
