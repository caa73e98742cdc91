"""Helpers that know nothing of clusters."""
