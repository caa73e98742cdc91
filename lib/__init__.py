"""Gantry: clusters of KVM virtual machines on local, replicated disks."""

__version__ = "0.1.0"
