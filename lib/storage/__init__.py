"""Disks of guests: one driver a disk template."""
