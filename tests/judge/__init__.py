"""What the judge promises, by a command each: `python -m tests.judge forged|aa|restarts|scale`."""
