"""Wiring of the daemons; nothing else."""
