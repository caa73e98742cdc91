"""Locks: levels, shared and exclusive, by priority and age."""
