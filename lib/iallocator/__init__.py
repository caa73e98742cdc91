"""Asking an allocator where an instance should go."""
