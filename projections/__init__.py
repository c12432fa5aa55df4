"""What is asked: read models built from the events and from nothing else."""
