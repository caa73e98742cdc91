"""Network interfaces of guests on a node."""
