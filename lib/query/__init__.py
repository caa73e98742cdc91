"""Every field of every resource, and the filter language."""
