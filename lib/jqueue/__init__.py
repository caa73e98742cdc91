"""Jobs: accepted, kept, ordered, run, resumed, undone."""
