"""The declarations of all opcodes, by family."""
