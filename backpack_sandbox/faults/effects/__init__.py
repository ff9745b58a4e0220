"""What faults do to the frames of one socket, a module per family."""
