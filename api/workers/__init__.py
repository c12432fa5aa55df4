"""What runs by itself: provisioning, metering, reconciling, payments, mail, schedules."""
