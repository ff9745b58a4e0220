"""A nemesis: faults at random on the whole embedded deployment, while a migration runs."""
