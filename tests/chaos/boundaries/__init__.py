"""SIGKILL at every boundary of a migration: each journal write, each act on the fleet."""
