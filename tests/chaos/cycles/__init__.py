"""Migrations of a real fleet, each cut over, attacked and taken back, and what became of trades."""
