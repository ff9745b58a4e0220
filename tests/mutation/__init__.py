"""Does a test notice when the judge is wrong? `make mutation` changes one thing at a time."""
