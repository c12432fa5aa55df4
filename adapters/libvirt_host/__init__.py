"""A libvirt host of our own on this machine, and the probe for whether KVM works here."""
