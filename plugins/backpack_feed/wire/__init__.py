"""Backpack's wire: payloads, their decoding and names, signatures, and the REST client."""
