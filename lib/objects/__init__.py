"""Frozen records: what the cluster is, and what travels between daemons."""
