"""Attacks of random faults and kill -9, and checkers that compare what is left with the truth."""
