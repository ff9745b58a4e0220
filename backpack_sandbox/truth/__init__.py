"""The ground truth: what was published, and the book at each id."""
