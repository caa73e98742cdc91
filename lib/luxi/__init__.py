"""The door of the master daemon: a unix socket."""
