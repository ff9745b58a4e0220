"""What a message costs from socket to cryptofeed callback: `make bench`, see docs/benchmarks.md."""
