"""Who is master."""
