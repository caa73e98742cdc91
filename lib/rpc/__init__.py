"""Calls from the master to node daemons: declared once, used at both ends."""
