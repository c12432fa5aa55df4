"""Steps: what is done outside for VPSs and jobs, one small repeatable piece at a time."""
