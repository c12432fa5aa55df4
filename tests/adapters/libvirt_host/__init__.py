"""Tests of the embedded host and the KVM probe."""
