"""Tests of the business, where nothing but the business runs."""
