"""Hypervisors: a frozen VmSpec in, a running guest out."""
