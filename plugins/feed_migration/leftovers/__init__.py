"""What the ccxt feed leaves behind in a checkout: where it is named, and a patch against it."""
