"""The gnt-* commands."""
