"""The markets: what is listed, the books, the matching, and the flow that moves them."""
