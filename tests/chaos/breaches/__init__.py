"""Breaches on a fleet of twenty: from the fault to every instance verified back on ccxt."""
