"""Native against ccxt in the shadow phase: who said what, who is right, and how sure that is."""

from backpack_feed.process.parity.comparison import STALL_SECONDS, Parity
from backpack_feed.process.parity.values import CCXT, NATIVE, SeenTrade

__all__ = ["CCXT", "NATIVE", "STALL_SECONDS", "Parity", "SeenTrade"]
