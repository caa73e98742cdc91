"""What a node does: one function a call, by subject."""
