"""The accounts: keys, signatures, balances and positions."""
