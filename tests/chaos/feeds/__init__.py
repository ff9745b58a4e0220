"""Feeds under random faults, and a checker that compares all they delivered with the truth."""
