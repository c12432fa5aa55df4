"""Tests of the guests on a real libvirt."""
