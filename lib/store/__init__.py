"""Makes configuration and jobs durable, here and on the master candidates."""
