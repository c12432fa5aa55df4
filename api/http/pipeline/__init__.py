"""What every request passes through, whichever endpoint it is for."""
