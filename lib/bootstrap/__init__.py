"""Work that is done before, beside or after the job queue: init, node add, failover, destroy."""
