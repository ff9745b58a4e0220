"""Commands for operators and newcomers."""
