"""What the sockets tell: frames, cadences, and the path from an event to them."""
