"""The configuration: objects in memory, changed only in transactions."""
