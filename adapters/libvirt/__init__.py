"""Keeps guests as they should be on a host that libvirt drives."""
