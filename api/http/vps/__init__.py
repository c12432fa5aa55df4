"""VPSs over HTTP."""
