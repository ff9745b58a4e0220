"""Faults on demand: what is active, for whom, and what it does."""
