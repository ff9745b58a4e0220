"""The websocket: sessions, subscriptions and the way of a frame to its listeners."""
