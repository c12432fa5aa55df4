"""Commands in VPSs over HTTP."""
