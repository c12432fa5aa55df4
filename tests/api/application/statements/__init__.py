"""Tests of statements as they are made and told."""
