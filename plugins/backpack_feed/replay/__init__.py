"""Offline tools: recorded files through the real decoding, sequencing, signing and session code."""
