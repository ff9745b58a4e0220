"""The native feed: one websocket, exact books, trades exactly once."""
