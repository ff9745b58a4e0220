"""The sandbox judged by clients that nobody here wrote."""
