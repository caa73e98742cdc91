"""Logical units: what an operation needs, checks and plans."""
